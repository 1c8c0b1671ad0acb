/**
 * Texts that cost a parser much more than their length, each as long as one request may be. Run as a program, it parses
 * the named ones, or all, and prints each result as a line of JSON, so that a test can limit its memory.
 */

import { parseResources } from "../../../src/declare/resources/parse.js";
import { formatProblem } from "../../../src/declare/resources/resource.js";
import { RESOURCE_FILE_BYTES_MAX } from "../../../src/declare/resources/yaml/yaml.js";

type Files = readonly { readonly name: string; readonly text: string }[];

export interface Outcome {
	readonly name: string;
	readonly problems: number;
	readonly first: string;
	readonly last: string;
	/** Length of all messages together. */
	readonly chars: number;
	readonly resources: number;
	readonly cpuMs: number;
}

/** One text over and over, up to the bound of a file. */
const filled = (before: string, each: string, after = ""): string =>
	before + each.repeat(Math.floor((RESOURCE_FILE_BYTES_MAX - before.length - after.length) / each.length)) + after;
const times = (count: number, of: (at: number) => string): string =>
	Array.from({ length: count }, (_, at) => of(at)).join("");
const one = (text: string): Files => [{ name: "w.yaml", text }];

const deep = (inner: string): string => {
	const open = `{"${"k".repeat(1_000)}": `;
	return `${open.repeat(30)}${inner}${"}".repeat(30)}`;
};

/** More than is read of any text: its place, and nothing else. */
export const TOO_MUCH: Readonly<Record<string, () => Files>> = {
	"closing braces": () => one(filled("a: b\n", "}")),
	"closing brackets": () => one(filled("a: b\n", "]")),
	"opening brackets": () => one(filled("a: ", "[")),
	commas: () => one(filled("a: [", ",", "]")),
	numbers: () => one(filled("a: [", "1,", "]")),
	"empty mappings": () => one(filled("a: [", "{},", "]")),
	"empty aliases": () => one(filled("a: [", "*,", "]")),
	"unknown aliases": () => one(filled("b: [", "*z,", "]")),
	"anchors and aliases": () => one(filled("a: [", "&a *a,", "]")),
	"empty anchors": () => one(filled("a: [", "&,", "]")),
	"empty tags": () => one(filled("a: [", "!,", "]")),
	tags: () => one(filled("a: [", "!x,", "]")),
	"at signs": () => one(filled("a:\n", "@\n")),
	directives: () => one(filled("", "%a\n", "---\na: b\n")),
	questions: () => one(filled("", "?\n")),
	colons: () => one(filled("", ":\n")),
	dashes: () => one(filled("", "- ")),
	tabs: () => one(filled("a:\n", "\t- b\n")),
	"bad indents": () => one(filled("a:\n", " b\nc\n")),
	documents: () => one(filled("", "---\n")),
	"ends of documents": () => one(filled("", "...\n")),
	"kept lines of a text": () => one(filled("a: |+\n", "\n")),
	"blank lines": () => one(filled("a: b\n", "\n")),
	"blank lines, then comments": () => one(filled(`a:\n - b\n${"\n".repeat(900_000)}`, " #\n")),
};

/** Read to the end or to the first faults: each is dear in another way, and stays below the bound of tokens. */
export const WITHIN: Readonly<Record<string, () => Files>> = {
	"braces below the bound": () => one(`a: b\n${"}".repeat(1_690_000)}`),
	"empty items": () => one("- - - - - - - -\n".repeat(45_000)),
	"empty keys of empty items": () => one("- ? :\n".repeat(125_000)),
	"empty keys": () => one(":\n".repeat(335_000)),
	"aliases below the bound": () => one(`a: [${"*,".repeat(242_000)}]`),
	"values below the bound": () => one(`a: [${"1,".repeat(338_000)}]`),
	"aliases of a value": () => one(`a: &x 1\nb: [${"*x,".repeat(242_000)}]`),
	"comments behind blank lines": () => one(`a:\n - b\n${"\n".repeat(999)}${" #\n".repeat(840_000)}`),
	versions: () => one(filled("", "%YAML 9\n", "---\na: b\n")),
	"lines of a text": () => one(filled("a: |\n", "  \n")),
	"comments in a list": () => one(filled("a: [", "#\n,", "]")),
	escapes: () => one(filled('a: "', "\\q", '"')),
	"values below a long name": () => one(`{"${"k".repeat(2_000_000)}": [${"0x1,".repeat(300_000)}]}`),
	"values below long names": () => one(deep(`[${"0x1,".repeat(300_000)}]`)),
	"fields below long names": () => one(deep(`{${times(180_000, (at) => `k${at}: 0x1,`)}}`)),
	"a long kind": () => one(filled("kind: ", "k")),
	"a long alias": () => one(filled("a: *", "k")),
	"a long tag": () => one(filled("a: !", "k", " x")),
	"pairs of a tag": () => one(`a: !!omap [${times(180_000, (at) => `k${at}: 1,`)}]`),
	"pairs of a tag of 1.1": () => one(`%YAML 1.1\n---\na: !!omap [${times(180_000, (at) => `k${at}: 1,`)}]`),
	"faults of many documents": () =>
		one(`kind: Service\nspec: {${times(20, (at) => `k${at}: 1,`)}}\n---\n`.repeat(4_900)),
	"several files": () =>
		Array.from({ length: 9 }, (_, at) => ({ name: `${at}.yaml`, text: `a: [${"1,".repeat(199_000)}]` })),
	"empty files": () => Array.from({ length: 150_000 }, (_, at) => ({ name: `${at}.yaml`, text: "" })),
};

const HEAD = "apiVersion: weir.dev/v1alpha1\nkind: ";
const service = (at: number): string => `${HEAD}Service
metadata:
  name: service-${at}
  labels: {team: a, tier: gold}
spec:
  hosts: [service-${at}.example]
  access: open
  defaultVariant: v1
  variants:
    - name: v1
      endpoints: [{address: 10.0.0.1, port: 8080}]
    - name: v2
      endpoints: [{address: 10.0.0.2, port: 8080}]
`;
const principal = (at: number): string => `spiffe://example.org/ns/team-a/sa/client-${at}`;
const policy = (principals: string): string =>
	`${HEAD}AccessPolicy\nmetadata: {name: web}\nspec:\n  services: [employment]\n  principals:${principals}\n`;
const layer = (comment: string): string => `${comment}${HEAD}Layer\nmetadata:\n  name: a\nspec: {}\n`;

/** As large as declarations become, and more. */
export const LEGITIMATE: Readonly<Record<string, () => Files>> = {
	"5,000 Services": () => one(Array.from({ length: 5_000 }, (_, at) => service(at)).join("---\n")),
	"5,000 Services in files": () =>
		Array.from({ length: 5_000 }, (_, at) => ({ name: `${at}.yaml`, text: service(at) })),
	"76,000 principals": () => one(policy(`\n${times(76_000, (at) => `    - ${principal(at)}\n`)}`)),
	"75,000 principals as JSON": () =>
		one(policy(` ${JSON.stringify(Array.from({ length: 75_000 }, (_, at) => principal(at)))}`)),
	"a long comment": () => one(layer(`# ${"x".repeat(60)}\n`.repeat(60_000))),
	"commented out": () => one(layer(`#   - ${principal(7)}\n\n`.repeat(70_000))),
};

const GROUPS: readonly Readonly<Record<string, () => Files>>[] = [TOO_MUCH, WITHIN, LEGITIMATE];

function outcome(name: string, files: Files): Outcome {
	const before = process.cpuUsage();
	const { problems, resources } = parseResources(files);
	const { user, system } = process.cpuUsage(before);
	const said = problems.map(formatProblem);
	return {
		name,
		problems: said.length,
		first: said[0]?.slice(0, 300) ?? "",
		last: said.at(-1)?.slice(0, 300) ?? "",
		chars: said.join("").length,
		resources: Object.values(resources).flat().length,
		cpuMs: Math.round((user + system) / 1_000),
	};
}

if (process.argv[1] === import.meta.filename) {
	const named = process.argv.slice(2);
	for (const [name, files] of GROUPS.flatMap((group) => Object.entries(group))) {
		if (named.length > 0 && !named.includes(name)) continue;
		process.stdout.write(`${JSON.stringify(outcome(name, files()))}\n`);
	}
}
