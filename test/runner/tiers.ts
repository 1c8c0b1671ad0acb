/** Which compiled test files a run is about. */
import { readdir } from "node:fs/promises";
import { join, resolve } from "node:path";

export const COMPILED = resolve(import.meta.dirname, "..");

/** Folders that `npm test` leaves out. */
export const SLOW = ["long", "components", "bench"];

/** @param place a folder of dist/test, or a file */
export async function filesIn(place: string): Promise<readonly string[]> {
	if (place.endsWith(".js")) return [resolve(place)];
	const folder = resolve(COMPILED, place);
	const names = await readdir(folder, { recursive: true });
	return names.filter((name) => name.endsWith(".test.js")).map((name) => join(folder, name));
}

/** Of all folders but the slow ones, and those that lie in none. */
export async function fastFiles(): Promise<readonly string[]> {
	const slow = SLOW.map((folder) => join(COMPILED, folder, "/"));
	return (await filesIn(".")).filter((file) => !slow.some((folder) => file.startsWith(folder)));
}
