/**
 * Texts that were read for half a minute, or until memory was gone: each ends in a problem with its place. In a process of
 * its own with little memory, as a heap that is too small ends it; how long it took is CPU time.
 */

import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Test } from "tap";
import { RESOURCE_TOKENS_MAX } from "../../../src/declare/resources/yaml/tokens.js";
import { PROBLEMS_MAX } from "../../../src/limits/index.js";
import { LEGITIMATE, type Outcome, TOO_MUCH, WITHIN } from "./yamlBombs.js";

const PROGRAM = fileURLToPath(new URL("./yamlBombs.js", import.meta.url));

/** MiB for what is read, what comes of it and the garbage between: before, each of many texts took gigabytes. */
const HEAP_MIB = 448;

/** Several times what the dearest take, against the load of a test machine; before, it was up to a minute. */
const CPU_MS = 8_000;

/** The largest allowed response. */
const CHARS = 1_000_000;

async function outcomes(t: Test, names: readonly string[]): Promise<ReadonlyMap<string, Outcome>> {
	const run = promisify(execFile)(process.execPath, [`--max-old-space-size=${HEAP_MIB}`, PROGRAM, ...names]);
	const { stdout } = await run.catch((error: { stdout: string; signal: string }) => {
		t.fail(`the reader ended (${error.signal}) behind:\n${error.stdout}`);
		return error;
	});
	const lines = stdout.split("\n").filter((line) => line !== "");
	const all = new Map(lines.map((line) => [(JSON.parse(line) as Outcome).name, JSON.parse(line) as Outcome]));
	t.same([...all.keys()], names, "all were read");
	for (const { name, cpuMs, chars, problems } of all.values()) {
		t.ok(cpuMs < CPU_MS, `${name}: ${cpuMs} ms of CPU`);
		t.ok(chars < CHARS && problems <= PROBLEMS_MAX + 1, `${name}: ${problems} problems of ${chars} characters`);
	}
	return all;
}

const tokens = (place: string): string =>
	`w.yaml:${place}: more than ${RESOURCE_TOKENS_MAX} YAML tokens at once; write fewer items, or split the file and apply its parts one after the other`;
const blank = (line: number): string => `w.yaml:${line}:1: more than 1000 blank lines in a row; remove them`;

/** Where each has its first token too many, from what tokens count for (limits/resource.ts). */
const TOLD: Readonly<Record<keyof typeof TOO_MUCH, string>> = {
	"closing braces": tokens("2:1719982"),
	"closing brackets": tokens("2:1719982"),
	"opening brackets": tokens("1:344001"),
	commas: tokens("1:859995"),
	numbers: tokens("1:687997"),
	"empty mappings": tokens("1:644996"),
	"empty aliases": tokens("1:491427"),
	"unknown aliases": tokens("1:737138"),
	"anchors and aliases": tokens("1:859994"),
	"empty anchors": tokens("1:344001"),
	"empty tags": tokens("1:344001"),
	tags: tokens("1:515999"),
	"at signs": tokens("429998:1"),
	directives: tokens("859996:1"),
	questions: tokens("343998:2"),
	colons: tokens("343998:2"),
	dashes: tokens("1:859995"),
	tabs: tokens("191111:2"),
	"bad indents": tokens("687995:1"),
	documents: tokens("343998:4"),
	"ends of documents": tokens("573331:1"),
	"kept lines of a text": tokens("2:1"),
	"blank lines": blank(1002),
	"blank lines, then comments": blank(1003),
};

/** 4 MiB of little things: one problem, where it is too much. */
export async function readTooMuch(t: Test, names = Object.keys(TOO_MUCH)): Promise<void> {
	const all = await outcomes(t, names);
	for (const [name, { first, problems }] of all) t.same([first, problems], [TOLD[name], 1], name);
}

/** The first or last problem of texts with several. */
const SAID: Readonly<Record<string, readonly [which: "first" | "last", said: RegExp]>> = {
	...Object.fromEntries(
		["braces below the bound", "aliases below the bound", "versions", "escapes"].map((name) => [
			name,
			["last", /^and more problems; correct those above first$/] as const,
		]),
	),
	"pairs of a tag of 1.1": [
		"first",
		/^w\.yaml:1:1: YAML version 1\.1; remove the %YAML line: Weir reads YAML 1\.2, where yes and no are text$/,
	],
	"pairs of a tag": ["first", /^w\.yaml:1:1: kind is missing/],
	"values below the bound": ["last", /^w\.yaml:1:400001: the document expands to more than 200000 values/],
	// One bound for all files.
	"several files": ["last", /^1\.yaml:1:\d+: more than \d+ YAML tokens at once/],
	"a long alias": ["last", /^w\.yaml:1:4: alias \*k{100}… has no anchor/],
};

/** What is dear below the bound. */
export async function readWithin(t: Test, names = Object.keys(WITHIN)): Promise<void> {
	const all = await outcomes(t, names);
	for (const [name, outcome] of all) {
		t.ok(outcome.problems > 0 && outcome.resources === 0, name);
		const [which, said] = SAID[name] ?? [];
		if (which !== undefined) t.match(outcome[which], said, name);
		if (outcome.last.startsWith("and more problems")) t.equal(outcome.problems, PROBLEMS_MAX + 1, name);
	}
}

/** As large as real declarations: accepted. */
export async function readLegitimate(t: Test, names = Object.keys(LEGITIMATE)): Promise<void> {
	const all = await outcomes(t, names);
	for (const { name, problems, resources } of all.values()) {
		t.same([problems, resources], [0, name.startsWith("5,000") ? 5_000 : 1], name);
	}
}
