/** Each test file is of a tier: none is written that no command runs. */
import { readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { COMPILED, fastFiles, fastTierLine, filesIn, SLOW, SOURCES } from "./tiers.js";

t.test("the fast tier has every compiled test file outside of the slow folders", async (t) => {
	const written = (await readdir(SOURCES, { recursive: true })).filter((name) => name.endsWith(".test.ts"));
	const run = [await fastFiles(), ...(await Promise.all(SLOW.map(filesIn)))].flat();
	t.same([...run].sort(), written.map((name) => join(COMPILED, name.replace(/ts$/, "js"))).sort());
	t.notOk((await fastFiles()).some((file) => file.includes(`${join(COMPILED, "long")}/`)));
});

t.test("a compiled file whose source was removed is in no tier", async (t) => {
	const gone = join(COMPILED, "runner", "gone.test.js");
	await writeFile(gone, "");
	t.teardown(() => rm(gone));
	t.notOk((await filesIn("runner")).includes(gone));
});

t.test("a fast tier above its time limit is reported", async (t) => {
	t.equal(fastTierLine(540), "# fast tier: 540 s of at most 540 s");
	t.equal(fastTierLine(541), "# fast tier: 541 s of at most 540 s: TOO SLOW");
});
