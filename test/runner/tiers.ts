/** Which compiled test files a run is about: those whose source is there. Of others what was compiled may lie beside them. */
import { readdir } from "node:fs/promises";
import { join, resolve } from "node:path";

export const COMPILED = resolve(import.meta.dirname, "..");
export const SOURCES = resolve(COMPILED, "../../test");

/** Folders that `npm test` leaves out. */
export const SLOW = ["long", "components", "bench"];

/** @param place a folder of test, or a compiled file */
export async function filesIn(place: string): Promise<readonly string[]> {
	if (place.endsWith(".js")) return [resolve(place)];
	const names = await readdir(resolve(SOURCES, place), { recursive: true });
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
