/** Compares golden files of meshes' resources, or rewrites them with WEIR_GOLDEN=write. */
import { fileURLToPath } from "node:url";
import { goldenFile } from "../../golden/golden.js";

/** Compiled to dist/test/compile/mesh. */
export const fixture = (name: string): string =>
	fileURLToPath(new URL(`../../../../test/fixtures/mesh/${name}`, import.meta.url));

/** @returns the golden value; the found one itself where it was just written */
export const golden = async (name: string, found: unknown): Promise<unknown> =>
	JSON.parse(await goldenFile(fixture(name), `${JSON.stringify(found, null, "\t")}\n`));
