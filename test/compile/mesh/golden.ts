/** Golden files of this room: compared, or written anew with WEIR_UPDATE_GOLDEN=1. */
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

/** Compiled to dist/test/compile/mesh. */
export const fixture = (name: string): string =>
	fileURLToPath(new URL(`../../../../test/fixtures/mesh/${name}`, import.meta.url));

/** @returns the golden value; the found one itself where it was just written */
export async function golden(name: string, found: unknown): Promise<unknown> {
	if (process.env.WEIR_UPDATE_GOLDEN === "1") {
		await writeFile(fixture(name), `${JSON.stringify(found, null, "\t")}\n`);
	}
	return JSON.parse(await readFile(fixture(name), "utf8"));
}
