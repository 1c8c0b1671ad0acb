/** Tests never start a bundle of other sources than those that were compiled last. */
import { mkdir, mkdtemp, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { freshBundle } from "./bundle.js";

t.test("a bundle counts where it was made after the last compilation", async (t) => {
	const dist = await mkdtemp(join(tmpdir(), "weir-bundle-"));
	t.teardown(() => rm(dist, { recursive: true }));
	t.equal(await freshBundle(dist), null, "there is none");
	const main = join(dist, "bundle/cli/main.js");
	await mkdir(join(dist, "bundle/cli"), { recursive: true });
	await writeFile(main, "");
	await writeFile(join(dist, ".tsbuildinfo"), "");
	await utimes(main, 1_000, 1_000);
	await utimes(join(dist, ".tsbuildinfo"), 2_000, 2_000);
	t.equal(await freshBundle(dist), null, "it is older");
	await utimes(main, 2_000, 2_000);
	t.equal(await freshBundle(dist), main);
});

/**
 * npx keeps the link it made of `bin` when it first ran in a folder: where it was made before the
 * command line was bundled, `npx weir` still starts the file of then.
 */
t.test("the command line is executable, where `bin` leads now and where it led before", async (t) => {
	for (const main of ["bundle/cli/main.js", "src/cli/main.js"]) {
		const { mode } = await stat(new URL(`../../${main}`, import.meta.url));
		t.equal(mode & 0o111, 0o111, main);
	}
});
