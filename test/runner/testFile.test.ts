/** The runner must not call a pass what is none. */
import { execFile } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import t, { type Test } from "tap";
import { type Finished, runTestFiles } from "./testFile.js";

/** Comes to no timer and no signal handler any more, as an endless loop does, but takes no CPU. */
const STUCK = "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);";

/** A test file of its own, outside of what npm test finds. */
const written = (t: Test, text: string): string => {
	const modules = JSON.stringify(import.meta.resolve("tap"));
	return join(t.testdir({ "it.mjs": `import t from ${modules};\n${text}` }), "it.mjs");
};

async function runOne(file: string, timeoutSeconds = 20, onComment?: (line: string) => void): Promise<Finished> {
	const finished: Finished[] = [];
	await runTestFiles([file], { timeoutSeconds, onComment }, (file) => finished.push(file));
	return finished[0] as Finished;
}

const run = (t: Test, text: string, timeoutSeconds = 20) => runOne(written(t, text), timeoutSeconds);

t.test("passed, and what was skipped is said", async (t) => {
	const got = await run(t, `t.test("x", async (t) => t.pass()); t.test("y", { skip: "no Go" }, async () => {});`);
	t.equal(got.fault, null);
	t.same(got.skipped, ["y # SKIP no Go"]);
});

t.test("what a test says is told while it runs", async (t) => {
	const told: string[] = [];
	const file = written(t, `t.test("x", async (t) => { t.comment("1 of 2"); t.pass("y"); t.comment("2 of 2"); });`);
	t.equal((await runOne(file, 20, (line) => told.push(line))).fault, null);
	t.same(told, ["1 of 2", "2 of 2"]);
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
	t.equal((await run(t, STUCK, 1)).fault, "did not end in time");
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

/** Whether it runs: one that was killed may stay in the table (state Z) until somebody reaps it. */
const runs = (pid: number): boolean => {
	try {
		process.kill(pid, 0);
		return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
	} catch (error) {
		// Where there is no /proc, what can be told a signal runs.
		return (error as NodeJS.ErrnoException).syscall === "open" && !existsSync("/proc/self");
	}
};

async function ends(pid: number): Promise<boolean> {
	for (let tries = 0; tries < 200 && runs(pid); tries++) await new Promise((resolve) => setTimeout(resolve, 20));
	return !runs(pid);
}

const LEAVES = `import { spawn } from "node:child_process";
	const left = spawn("sleep", ["300"], { stdio: "ignore" });
	left.unref();
	console.log("# left " + left.pid);`;
const leftIn = (output: string): number => Number(/# left (\d+)/.exec(output)?.[1]);

t.test("what a file has started ends with it", async (t) => {
	const passed = await run(t, `${LEAVES}\nt.pass();`);
	t.equal(passed.fault, null);
	t.ok(await ends(leftIn(passed.output)), "after a pass");
	const killed = await run(t, `${LEAVES}\nprocess.kill(process.pid, "SIGKILL");\n${STUCK}`);
	t.equal(killed.fault, "ended by SIGKILL");
	t.ok(await ends(leftIn(killed.output)), "after it was killed");
	const hung = await run(t, `${LEAVES}\nsetTimeout(() => { ${STUCK} }, 100);`, 2);
	t.equal(hung.fault, "did not end in time");
	t.ok(await ends(leftIn(hung.output)), "after it was given up");
});

t.test("who ends the runner ends its files", async (t) => {
	const directory = t.testdir({
		"hangs.js": `import { writeFileSync } from "node:fs";
			writeFileSync(new URL("pid", import.meta.url), String(process.pid));
			setInterval(() => {}, 1_000);`,
		"package.json": `{"type":"module"}`,
	});
	const main = resolve(import.meta.dirname, "main.js");
	const child = execFile(process.execPath, [main, join(directory, "hangs.js")]);
	const exited = once(child, "exit");
	const pid = join(directory, "pid");
	while (!existsSync(pid) || readFileSync(pid, "utf8") === "") await new Promise((resolve) => setTimeout(resolve, 20));
	child.kill("SIGTERM");
	t.same(await exited, [null, "SIGTERM"]);
	t.ok(await ends(Number(readFileSync(pid, "utf8"))));
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
