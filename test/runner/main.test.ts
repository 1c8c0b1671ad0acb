/** The command: its output, its exit code, and the second run of files that failed. */
import { execFile, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import t, { type Test } from "tap";

const MAIN = resolve(import.meta.dirname, "main.js");

interface Ended {
	readonly code: number;
	readonly lines: readonly string[];
	readonly folder: string;
}

/** Runs files with these texts, two at once. A file has `t`; `see` leaves a name in the folder, `seen` finds it. */
async function run(t: Test, texts: Readonly<Record<string, string>>): Promise<Ended> {
	const head = `import t from ${JSON.stringify(import.meta.resolve("tap"))};
		import { appendFileSync, existsSync } from "node:fs";
		const at = (name) => new URL(name, import.meta.url);
		const seen = (name) => existsSync(at(name));
		const see = (name) => appendFileSync(at(name), "x");
	`;
	const files = Object.entries(texts).map(([name, text]) => [`${name}.js`, head + text] as const);
	const folder = t.testdir({ ...Object.fromEntries(files), "package.json": `{"type":"module"}` });
	return new Promise((done) => {
		const args = [
			MAIN,
			"--jobs=2",
			`--durations=${join(folder, "kept.json")}`,
			...files.map(([name]) => join(folder, name)),
		];
		const child = execFile(process.execPath, args, (_error, stdout) =>
			done({ folder, code: child.exitCode ?? -1, lines: stdout.trimEnd().split("\n") }),
		);
	});
}

t.test("the closing line and the exit code", async (t) => {
	const good = await run(t, { good: "t.pass();" });
	t.equal(good.code, 0);
	t.same(good.lines.slice(-2), ["# flaky: 0", "# { total: 1, pass: 1, fail: 0 }"]);
});

t.test("a file that fails twice has failed; the output of both runs is shown", async (t) => {
	const { code, lines, folder } = await run(t, {
		good: "t.pass();",
		bad: `t.fail(seen("bad") ? "second" : "first"); see("bad");`,
	});
	t.equal(code, 1);
	t.same(lines.slice(-2), ["# flaky: 0", "# { total: 2, pass: 1, fail: 1 }"]);
	t.ok(lines.includes("not ok 1 - first"));
	t.ok(lines.includes("not ok 1 - second"));
	t.ok(lines.some((line) => /^FAILED .*bad\.js: exit code 1$/.test(line)));
	t.equal(readFileSync(join(folder, "bad"), "utf8"), "xx", "not a third time");
});

t.test("a file that fails, then passes alone, is flaky and counts as passed", async (t) => {
	const { code, lines } = await run(t, {
		slow: `t.pass(); while (!seen("flaky")) await new Promise((done) => setTimeout(done, 10));
			await new Promise((done) => setTimeout(done, 300)); see("ended");`,
		flaky: `t.ok(seen("ended"), seen("flaky") ? "after all others" : "beside others"); see("flaky");`,
	});
	t.equal(code, 0);
	t.same(lines.slice(-2), ["# flaky: 1", "# { total: 2, pass: 2, fail: 0 }"]);
	const [failed, passed] = ["not ok 1 - beside others", "ok 1 - after all others"].map((line) => lines.indexOf(line));
	t.ok(failed !== undefined && passed !== undefined && 0 <= failed && failed < passed, "the output of both runs");
	t.ok(lines.some((line) => /^flaky .*flaky\.js [\d.]+ s$/.test(line)));
	t.ok(lines.some((line) => /^FLAKY .*flaky\.js: exit code 1, then passed alone$/.test(line)));
});

t.test("the longest start first, by the durations of the former run", async (t) => {
	// Files of one folder share a process.
	const folder = t.testdir({
		a: { "x.js": `import t from ${JSON.stringify(import.meta.resolve("tap"))}; t.pass();` },
		b: { "x.js": `import t from ${JSON.stringify(import.meta.resolve("tap"))}; setTimeout(() => {}, 300); t.pass();` },
		"package.json": `{"type":"module"}`,
	});
	const started = (): readonly (string | undefined)[] => {
		const args = [MAIN, "--jobs=1", `--durations=${join(folder, "kept.json")}`, "a/x.js", "b/x.js"];
		const { stdout } = spawnSync(process.execPath, args, { encoding: "utf8", cwd: folder });
		return [...stdout.matchAll(/^ok .*([ab])\/x\.js/gm)].map(([, name]) => name);
	};
	t.same(started(), ["a", "b"]);
	t.same(started(), ["b", "a"]);
});

t.test("a path that names no tests ends it with what to write instead", async (t) => {
	for (const place of ["test/runner/tiers.test.ts", "dist/test/runner/none.test.js", "none"]) {
		const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, place], { encoding: "utf8" });
		t.same([status, stdout], [1, ""]);
		t.match(stderr, new RegExp(`^'${place}' is neither a folder of test nor a compiled file: write [^\\n]*\\n$`));
	}
});
