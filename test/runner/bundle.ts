/**
 * The command as users run it (`npm run bundle`): it starts in two thirds of the CPU, and tests start some 700. Only where it is of
 * what was compiled last; who compiles by `tsc` alone tests that.
 */
import { stat } from "node:fs/promises";
import { resolve } from "node:path";

const DIST = resolve(import.meta.dirname, "../..");

/** @returns its path; null = there is none, or it is older than what was compiled last */
export async function freshBundle(dist = DIST): Promise<string | null> {
	const main = resolve(dist, "bundle/cli/main.js");
	const [bundled, compiled] = await Promise.all([mtimeMs(main), mtimeMs(resolve(dist, ".tsbuildinfo"))]);
	return bundled !== null && bundled >= (compiled ?? 0) ? main : null;
}

const mtimeMs = (path: string): Promise<number | null> =>
	stat(path).then(
		({ mtimeMs }) => mtimeMs,
		() => null,
	);
