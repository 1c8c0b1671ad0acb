/** Long test files start first, also in a new clone. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { keepSeconds, knownSeconds, longestFirst, writeSlowest } from "./order.js";
import { fastFiles } from "./tiers.js";

t.test("a group takes as long as its files together, and an unknown file one second", async (t) => {
	const groups = [["short"], ["a", "b"], ["unknown"], ["long"]];
	t.same(
		longestFirst(groups, { short: 0.5, a: 2, b: 2, long: 3 }, (file) => file),
		[["a", "b"], ["long"], ["unknown"], ["short"]],
	);
});

t.test("measured seconds replace committed ones; a new clone has the committed ones", async (t) => {
	const folder = t.testdir({ "committed.json": `{"a":20,"b":10}` });
	const [kept, committed] = [join(folder, "cache/kept.json"), join(folder, "committed.json")];
	t.same(await knownSeconds(kept, committed), { a: 20, b: 10 });
	await keepSeconds({ a: 3.4, c: 1 }, kept);
	await keepSeconds({ c: 2 }, kept);
	t.same(await knownSeconds(kept, committed), { a: 3.4, b: 10, c: 2 });
	await writeSlowest((name) => name !== "b", kept, committed);
	t.equal(await readFile(committed, "utf8"), `{\n\t"a": 3,\n\t"c": 2\n}\n`, "longest first, without removed files");
	await writeFile(kept, "{");
	t.same(await knownSeconds(kept, committed), { a: 3, c: 2 }, "a damaged file counts as missing");
});

t.test("the committed list names files of the fast tier", async (t) => {
	const files = await fastFiles();
	const names = Object.keys(await knownSeconds("none"));
	t.ok(names.length >= 9);
	for (const name of names)
		t.ok(
			files.some((file) => file.endsWith(`/${name}`)),
			name,
		);
});
