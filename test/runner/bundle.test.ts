/** Tests never start a bundle of other sources than those that were compiled last. */
import { mkdir, mkdtemp, rm, utimes, writeFile } from "node:fs/promises";
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
