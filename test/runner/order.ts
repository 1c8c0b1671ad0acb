/**
 * Test files start longest first: a long file that starts last would keep one core busy while the others idle. How long a file takes
 * is known from former runs on this machine; in a new clone from the committed list of the slowest.
 */
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { COMPILED, SOURCES } from "./tiers.js";

/** Of former runs on this machine. */
export const KEPT = join(COMPILED, "../../node_modules/.cache/weir/testSeconds.json");
/** Committed; written by `main.js --slowest`. */
const COMMITTED = join(SOURCES, "runner/slowest.json");
const SLOWEST = 40;
/** Of a file that was never measured here: about the mean. */
const UNKNOWN_SECONDS = 1;

/** By the name of the file below test, as the runner prints it. */
export type Seconds = Readonly<Record<string, number>>;

/** @returns none where the file is missing or damaged: the order of starts is no reason to fail */
const read = (path: string): Promise<Seconds> =>
	readFile(path, "utf8")
		.then(
			(text) => JSON.parse(text) as Seconds,
			() => ({}),
		)
		.catch(() => ({}));

export async function knownSeconds(kept: string, committed = COMMITTED): Promise<Seconds> {
	return { ...(await read(committed)), ...(await read(kept)) };
}

/** Adds what was measured to what is kept from former runs. */
export async function keepSeconds(measured: Seconds, kept: string): Promise<void> {
	const all = { ...(await read(kept)), ...measured };
	await mkdir(dirname(kept), { recursive: true });
	// Another run may read it now.
	const made = `${kept}.${process.pid}`;
	await writeFile(made, JSON.stringify(all));
	await rename(made, kept);
}

/** Writes the committed list from what is kept. @param exists leaves out files that were removed */
export async function writeSlowest(
	exists: (name: string) => boolean,
	kept: string,
	committed = COMMITTED,
): Promise<void> {
	const slowest = Object.entries(await knownSeconds(kept, committed))
		.filter(([name]) => exists(name))
		.sort(([, a], [, b]) => b - a)
		.slice(0, SLOWEST)
		.map(([name, seconds]) => [name, Math.round(seconds)]);
	await writeFile(committed, `${JSON.stringify(Object.fromEntries(slowest), null, "\t")}\n`);
}

/** @param groups files that share a process: it takes as long as all of them @param nameOf a file's name in `seconds` */
export function longestFirst(
	groups: readonly (readonly string[])[],
	seconds: Seconds,
	nameOf: (file: string) => string,
): readonly (readonly string[])[] {
	const sum = (group: readonly string[]): number =>
		group.reduce((total, file) => total + (seconds[nameOf(file)] ?? UNKNOWN_SECONDS), 0);
	return groups
		.map((group) => ({ group, seconds: sum(group) }))
		.sort((a, b) => b.seconds - a.seconds)
		.map(({ group }) => group);
}
