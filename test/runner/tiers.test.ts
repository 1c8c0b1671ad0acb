/** Each test file is of a tier: none is written that no command runs. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { COMPILED, fastFiles, filesIn, SLOW } from "./tiers.js";

t.test("every compiled test file, whether or not it lies in a folder", async (t) => {
	const written = (await readdir(COMPILED, { recursive: true })).filter((name) => name.endsWith(".test.js"));
	const run = [await fastFiles(), ...(await Promise.all(SLOW.map(filesIn)))].flat();
	t.same([...run].sort(), written.map((name) => join(COMPILED, name)).sort());
	t.ok(run.includes(join(COMPILED, "turns.test.js")), "of a file at the top of src");
	t.notOk((await fastFiles()).some((file) => file.includes(`${join(COMPILED, "long")}/`)));
});
