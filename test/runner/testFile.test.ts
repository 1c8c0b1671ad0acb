/** The runner must not call a pass what is none. */
import { execFile } from "node:child_process";
import { join, resolve } from "node:path";
import t, { type Test } from "tap";
import { runTestFile } from "./testFile.js";

/** A test file of its own, outside of what npm test finds. */
const written = (t: Test, text: string): string => {
	const modules = JSON.stringify(import.meta.resolve("tap"));
	return join(t.testdir({ "it.mjs": `import t from ${modules};\n${text}` }), "it.mjs");
};

const run = (t: Test, text: string, timeoutSeconds = 20) => runTestFile(written(t, text), timeoutSeconds);

t.test("passed, and what was skipped is said", async (t) => {
	const got = await run(t, `t.test("x", async (t) => t.pass()); t.test("y", { skip: "no Go" }, async () => {});`);
	t.equal(got.fault, null);
	t.same(got.skipped, ["y # SKIP no Go"]);
});

t.test("not passed", async (t) => {
	const faults: readonly (readonly [text: string, fault: string])[] = [
		["t.fail();", "exit code 1"],
		["throw new Error();", "exit code 1"],
		["t.test('x', (t) => t.rejects(Promise.resolve()));", "exit code 1"],
		[
			"process.kill(process.pid, 'SIGTERM');\nawait new Promise((resolve) => setTimeout(resolve, 9_999));",
			"ended by SIGTERM",
		],
		["process.reallyExit(0);", "ended before its plan"],
	];
	for (const [text, fault] of faults) t.equal((await run(t, text)).fault, fault, text);
});

t.test("what does not end", async (t) => {
	// Enough for Node and tap to start on a busy machine: the end must come from tap, not from the runner.
	const hangs = await run(t, "t.test('x', () => new Promise(() => setInterval(() => {}, 1_000)));", 4);
	t.equal(hangs.fault === null, false, "tap's timeout");
	t.match(hangs.output, /timeout/);
	t.equal((await run(t, "for (;;);", 1)).fault, "did not end in time");
	const started = performance.now();
	const leaves = await run(
		t,
		`import { spawn } from "node:child_process";
		spawn("sleep", ["30"], { stdio: "inherit", detached: true }).unref();
		t.pass();`,
	);
	t.equal(leaves.fault, null);
	t.ok(performance.now() - started < 20_000, "what it left running is not waited for");
});

t.test("the closing line and the exit code", async (t) => {
	const directory = t.testdir({
		"good.js": `import t from ${JSON.stringify(import.meta.resolve("tap"))}; t.pass();`,
		"bad.js": `import t from ${JSON.stringify(import.meta.resolve("tap"))}; t.fail("seen");`,
		"package.json": `{"type":"module"}`,
	});
	const main = resolve(import.meta.dirname, "main.js");
	const of = (...names: readonly string[]) =>
		new Promise<{ code: number; lines: readonly string[] }>((done) => {
			const args = [main, "--jobs=2", ...names.map((name) => join(directory, name))];
			const child = execFile(process.execPath, args, (_error, stdout) =>
				done({ code: child.exitCode ?? -1, lines: stdout.trimEnd().split("\n") }),
			);
		});
	const good = await of("good.js");
	t.match(good, { code: 0 });
	t.equal(good.lines.at(-1), "# { total: 1, pass: 1, fail: 0 }");
	const both = await of("good.js", "bad.js");
	t.match(both, { code: 1 });
	t.equal(both.lines.at(-1), "# { total: 2, pass: 1, fail: 1 }");
	t.ok(both.lines.includes("not ok 1 - seen"), "a failed file's output is shown");
});
