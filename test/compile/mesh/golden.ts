/** Golden files of mesh resources; WEIR_GOLDEN=write rewrites them. */
import { fileURLToPath } from "node:url";
import { goldenFile } from "../../golden/golden.js";

/** Compiled to dist/test/compile/mesh. */
export const fixture = (name: string): string =>
	fileURLToPath(new URL(`../../../../test/fixtures/mesh/${name}`, import.meta.url));

/** @returns the golden value; the found one itself where it was just written */
export const golden = async (name: string, found: unknown): Promise<unknown> =>
	JSON.parse(await goldenFile(fixture(name), `${JSON.stringify(found, null, "\t")}\n`));
