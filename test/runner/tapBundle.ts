/**
 * Tap in one file: Node reads, resolves and compiles each of its some 150 modules by itself, which takes every test file
 * 0.15 s of CPU, more than most tests do. Beside what was compiled, where Node finds it before the installed one.
 */
import { mkdir, mkdtemp, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { build } from "esbuild";
import { COMPILED } from "./tiers.js";

const DIST = dirname(COMPILED);
/** From below dist, `tap` is what is made here. */
const ROOT = dirname(DIST);
/** By this folder tap knows what of a stack is its own and not the test's. */
const MAIN = "node_modules/@tapjs/tap.js";
const REQUIRE = `import { createRequire as requireOf } from "node:module"; const require = requireOf(import.meta.url);`;

/** `import t from "tap"` is a live binding: files that share a process (child.ts) each have a root test of their own. */
const ENTRY = `export * from "tap"; import { t } from "tap"; let root = t; export { root as default };
export const setRoot = (next) => { root = next; };`;

/** Made anew where there is none, or tap or this file is newer. @param dist of what was compiled */
export async function bundleTap(dist = DIST): Promise<void> {
	const place = join(dist, "node_modules/tap");
	const sources = [join(ROOT, "node_modules/tap/package.json"), import.meta.filename];
	const newestMs = Math.max(...(await Promise.all(sources.map(changedMs))));
	if ((await changedMs(join(place, MAIN))) >= newestMs) return;
	await mkdir(dirname(place), { recursive: true });
	const made = await mkdtemp(`${place}-`);
	await build({
		stdin: { contents: ENTRY, resolveDir: ROOT },
		outfile: join(made, MAIN),
		bundle: true,
		format: "esm",
		platform: "node",
		target: "node20",
		// It compares classes, and reports them, by their names.
		keepNames: true,
		banner: { js: REQUIRE },
		logLevel: "warning",
	});
	await writeFile(join(made, "package.json"), JSON.stringify({ name: "tap", type: "module", main: MAIN }));
	await rm(place, { recursive: true, force: true });
	// Another run may have been quicker, with the same.
	await rename(made, place).catch(() => rm(made, { recursive: true }));
}

const changedMs = (path: string): Promise<number> =>
	stat(path).then(
		({ ctimeMs }) => ctimeMs,
		() => Number.NEGATIVE_INFINITY,
	);
