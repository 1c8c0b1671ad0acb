/** README and docs keep their word: YAML is valid, commands exist with these options, links lead somewhere, pages stay short. */
import { readFile } from "node:fs/promises";
import t from "tap";
import { parseAllDocuments, stringify } from "yaml";
import { fileOf, temporaryDirectory, weir } from "../cli/command.js";
import { blocks, commands, lines, pages, pathOf, ROOT } from "./blocks.js";
import { commandChecks } from "./program.js";

t.setTimeout(120_000);

const LINES_MAX: Readonly<Record<string, number>> = {
	"README.md": 250,
	"DESIGN.md": 300,
	"CHANGELOG.md": 80,
	"docs/limits.md": 120,
};

/** Programs that commands use beside weir and npm. */
const OTHERS = new Set(["curl", "python3", "mkdir", "echo"]);

interface Document {
	readonly kind: string;
	readonly metadata: { readonly name: string; readonly namespace?: string };
}

const documentsOf = (text: string): readonly Document[] => parseAllDocuments(text).map((one) => one.toJS() as Document);
const keyOf = ({ kind, metadata }: Document): string => `${kind} ${metadata.namespace ?? "default"}/${metadata.name}`;

t.test("each YAML block is valid, beside deploy/example.yaml and deploy/secure.yaml", async (t) => {
	const directory = await temporaryDirectory(t);
	const deployed = await Promise.all(
		["deploy/example.yaml", "deploy/secure.yaml"].map((name) => readFile(pathOf(name), "utf8")),
	);
	for (const { name, text } of await pages()) {
		for (const [index, block] of blocks(text, "yaml").entries()) {
			const what = `${name}, YAML block ${index + 1}`;
			if (block.startsWith("tests:")) {
				const table = await fileOf(directory, "tests.yaml", block);
				const tested = await weir(["policy", "test", "-f", pathOf("deploy/secure.yaml"), "-t", table]);
				t.equal(tested.code, 0, `${what}: ${tested.stdout}${tested.stderr}`);
				continue;
			}
			const set = new Map([...deployed, block].flatMap(documentsOf).map((one) => [keyOf(one), one]));
			const file = await fileOf(directory, "block.yaml", [...set.values()].map((one) => stringify(one)).join("---\n"));
			const valid = await weir(["validate", "-f", file]);
			t.equal(valid.code, 0, `${what}: ${valid.stderr}`);
		}
	}
});

t.test("each command exists, and takes these options and arguments", async (t) => {
	const { check, program } = await commandChecks();
	const { scripts } = JSON.parse(await readFile(pathOf("package.json"), "utf8")) as { scripts: Record<string, string> };
	const npm = ([verb = "", script = ""]: readonly string[]): string | null => {
		if (verb === "ci" || (verb === "test" && scripts.test !== undefined)) return null;
		return verb === "run" && scripts[script] !== undefined ? null : "no such npm script";
	};
	const faultOf = async (words: readonly string[]): Promise<string | null> => {
		const [name = "", ...args] = words[0] === "npx" ? words.slice(1) : words;
		if (name === "weir") return check(args);
		if (name === "npm") return npm(args);
		return OTHERS.has(name) ? null : "no program that docs use";
	};
	for (const { name, text } of await pages()) {
		for (const line of blocks(text, "sh").flatMap(lines))
			for (const words of commands(line)) t.equal(await faultOf(words), null, `${name}: ${words.join(" ")}`);
		for (const [, script = ""] of text.matchAll(/`npm run ([\w:]+)/g))
			t.ok(scripts[script], `${name}: npm run ${script}`);
		for (const [code, args = ""] of text.matchAll(/`weir ([a-z][^`]*)`/g)) {
			const [first = "", second = "", ...rest] = args.split(/\s+/);
			const one = program.commands.find((each) => each.name() === first);
			const below = one?.commands.find((each) => each.name() === second);
			const known = (below ?? one)?.options.flatMap(({ long, short }) => [long, short]);
			t.ok(one, `${name}: ${code}`);
			for (const flag of [second, ...rest].filter((word) => /^--?[a-z]/.test(word)))
				t.ok([...(known ?? []), "--help"].includes(flag), `${name}: ${code} has ${flag}`);
		}
	}
});

/** They need no control. Those of docs/getting-started.md run in tenMinutes.test.ts. */
const ON_FILES = /^(validate|explain|compile|policy test)\b/;

t.test("commands that work on files alone run", async (t) => {
	const all = (await pages()).filter(({ name }) => name !== "docs/getting-started.md");
	const printed = all.flatMap(({ text }) => blocks(text, "sh").flatMap(lines).flatMap(commands));
	const ofWeir = printed.flatMap(([name, ...args]) =>
		name === "npx" ? [args.slice(1)] : name === "weir" ? [args] : [],
	);
	const run = ofWeir.filter((args) => ON_FILES.test(args.join(" ")) || args.includes("--offline"));
	t.ok(run.length >= 8, `${run.length} commands`);
	for (const args of run) {
		const { code, stderr } = await weir(args);
		t.equal(code, 0, `weir ${args.join(" ")}: ${stderr}`);
	}
});

t.test("links lead somewhere", async (t) => {
	for (const { name, text } of await pages()) {
		for (const [, file = "", anchor] of text.matchAll(/\]\(([^)#:]*)(?:#([^)]*))?\)/g)) {
			const target = file === "" ? text : await readFile(new URL(file, new URL(name, ROOT)), "utf8");
			if (anchor !== undefined) t.ok(anchorsOf(target).includes(anchor), `${name}: ${file}#${anchor}`);
		}
	}
});

t.test("each page of docs is linked from README", async (t) => {
	const all = await pages();
	const readme = all.find(({ name }) => name === "README.md")?.text ?? "";
	for (const { name } of all.filter(({ name }) => name !== "README.md")) t.ok(readme.includes(`](${name})`), name);
});

t.test("documents stay short", async (t) => {
	for (const { name, text } of await pages()) {
		const count = text.trimEnd().split("\n").length;
		t.ok(count <= (LINES_MAX[name] ?? 200), `${name} has ${count} lines`);
	}
});

/** As GitHub makes them of headings. */
const anchorsOf = (text: string): readonly string[] =>
	[...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
		heading
			.toLowerCase()
			.replace(/[^\w\- ]/g, "")
			.replaceAll(" ", "-"),
	);
