/** Which compiled test files a run is about: those whose source is there. Of others what was compiled may lie beside them. */
import { existsSync, statSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join, resolve } from "node:path";

export const COMPILED = resolve(import.meta.dirname, "..");
export const SOURCES = resolve(COMPILED, "../../test");

/** Folders that `npm test` leaves out. */
export const SLOW = ["long", "components", "bench"];

/**
 * @param place a folder of test, or a compiled file
 * @throws Error with what to write instead
 */
export async function filesIn(place: string): Promise<readonly string[]> {
	if (place.endsWith(".js") && existsSync(place)) return [resolve(place)];
	const folder = resolve(SOURCES, place);
	if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory())
		throw new Error(
			`'${place}' is neither a folder of test nor a compiled file: write a folder such as runner, or a file such as dist/test/runner/tiers.test.js`,
		);
	const names = await readdir(folder, { recursive: true });
	return names
		.filter((name) => name.endsWith(".test.ts"))
		.map((name) => join(COMPILED, place, name.replace(/ts$/, "js")));
}

/** Of all folders but the slow ones, and those that lie in none. */
export async function fastFiles(): Promise<readonly string[]> {
	const slow = SLOW.map((folder) => join(COMPILED, folder, "/"));
	return (await filesIn(".")).filter((file) => !slow.some((folder) => file.startsWith(folder)));
}

/** On two cores. */
const FAST_SECONDS = 540;

export const fastTierLine = (seconds: number): string =>
	`# fast tier: ${seconds} s of at most ${FAST_SECONDS} s${seconds > FAST_SECONDS ? ": TOO SLOW" : ""}`;
