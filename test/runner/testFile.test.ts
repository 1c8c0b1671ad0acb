/** The runner must not report a pass for a file that did not finish. */
import { execFile } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import t, { type Test } from "tap";
import { type Finished, runTestFiles } from "./testFile.js";

// Most of their time they wait for the ends of files that hang.
t.jobs = 4;

/** Comes to no timer and no signal handler any more, as an endless loop does, but takes no CPU. */
const STUCK = "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);";

/** Runs files with these texts, outside of what npm test finds. */
async function runAll(
	t: Test,
	texts: readonly string[],
	timeoutSeconds = 20,
	onComment?: (line: string) => void,
): Promise<readonly Finished[]> {
	const tap = JSON.stringify(import.meta.resolve("tap"));
	const names = texts.map((_, n) => `${n}.mjs`);
	const directory = t.testdir(Object.fromEntries(texts.map((text, n) => [names[n], `import t from ${tap};\n${text}`])));
	const files = names.map((name) => join(directory, name));
	const finished: Finished[] = [];
	await runTestFiles(files, { timeoutSeconds, onComment }, (file) => finished.push(file));
	t.same(
		finished.map(({ file }) => file),
		files,
	);
	return finished;
}

const run = async (t: Test, text: string, timeoutSeconds?: number): Promise<Finished> =>
	(await runAll(t, [text], timeoutSeconds))[0] as Finished;

t.test("a passed file reports its skipped tests", async (t) => {
	const got = await run(t, `t.test("x", async (t) => t.pass()); t.test("y", { skip: "no Go" }, async () => {});`);
	t.equal(got.fault, null);
	t.same(got.skipped, ["y # SKIP no Go"]);
});

t.test("comments of a test are printed while it runs", async (t) => {
	const lines: string[] = [];
	const text = `t.test("x", async (t) => { t.comment("1 of 2"); t.pass("y"); t.comment("2 of 2"); });`;
	await runAll(t, [text], 20, (line) => lines.push(line));
	t.same(lines, ["1 of 2", "2 of 2"]);
});

/** Files that do not pass, and why. Each is run between two that pass, in the same process until it ends it. */
const FAULTS: readonly (readonly [text: string, fault: string])[] = [
	["t.fail();", "exit code 1"],
	["t.test('x', (t) => t.rejects(Promise.resolve()));", "exit code 1"],
	["throw new Error();", "exit code 1"],
	["import './missing.js';", "exit code 1"],
	["t.test('x', async () => { throw new Error(); });", "exit code 1"],
	["t.pass(); Promise.reject(new Error());", "exit code 1"],
	["t.pass(); setTimeout(() => { throw new Error(); });", "exit code 1"],
	["t.pass(); setTimeout(() => Promise.reject(new Error()), 50);", "exit code 1"],
	["t.test('ends before it', () => new Promise(() => {}));", "exit code 1"],
	["t.pass(); await new Promise(() => {});", "exit code 1"],
	["t.pass(); setInterval(() => {}, 1_000);", "exit code 1"],
	["t.pass(); process.exitCode = 3;", "exit code 3"],
	["t.test('x', async () => process.exit(0));", "exit code 1"],
	["t.test('x', async () => process.exit(3));", "exit code 3"],
	["t.pass(); setTimeout(() => process.exit(0), 50);", "exit code 1"],
	["process.reallyExit(0);", "ended before its plan"],
	["t.pass(); process.env.WEIR_LEFT = 'x';", "exit code 1"],
	["t.pass(); process.chdir('/');", "exit code 1"],
	["process.kill(process.pid, 'SIGKILL'); await new Promise(() => {});", "ended by SIGKILL"],
];

t.test("a file that fails does not touch those before and after it", async (t) => {
	const passes = (n: number): string => `t.test("passes", async (t) => { t.comment("file ${n}"); t.pass(); });`;
	const finished = await runAll(
		t,
		FAULTS.flatMap(([text], n) => [text, passes(n)]),
		12,
	);
	for (const [n, [text, fault]] of FAULTS.entries()) {
		t.equal(finished[2 * n]?.fault, fault, text);
		t.notMatch(finished[2 * n]?.output, "# file");
		t.match(finished[2 * n + 1], { fault: null, output: `# file ${n}` });
	}
});

t.test("files share a process", async (t) => {
	const text = `t.pass(process.pid + " " + process.argv.slice(1).map((path) => path.at(-5)));`;
	const [a, b] = (await runAll(t, [text, text])).map(({ output }) => /ok 1 - (\d+) (.*)/.exec(output));
	t.equal(a?.[1], b?.[1]);
	t.same([a?.[2], b?.[2]], ["0", "1"], "and each is its main module, by which tap names fixtures");
});

t.test("a file whose test does not end is ended by tap", async (t) => {
	// Enough for Node and tap to start on a busy machine: the end must come from tap, not from the runner.
	const hangs = await run(t, "t.test('x', () => new Promise(() => setInterval(() => {}, 1_000)));", 4);
	t.equal(hangs.fault === null, false);
	t.match(hangs.output, /timeout/);
});

t.test("a file that does not end by itself is killed", async (t) => {
	const [stuck, next] = await runAll(t, [STUCK, "t.pass();"], 2);
	t.same([stuck?.fault, next?.fault], ["did not end in time", null]);
});

t.test("what a file left running is not waited for", async (t) => {
	const started = performance.now();
	const leaves = await run(
		t,
		`import { spawn } from "node:child_process";
		spawn("sleep", ["30"], { stdio: "inherit", detached: true }).unref();
		t.pass();`,
	);
	t.equal(leaves.fault, null);
	t.ok(performance.now() - started < 20_000);
});

/** Whether it runs: one that was killed may stay in the table (state Z) until it is reaped. */
const runs = (pid: number): boolean => {
	try {
		process.kill(pid, 0);
		return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
	} catch (error) {
		// Where there is no /proc, a process that accepts a signal counts as running.
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

for (const [when, fault, end, timeoutSeconds] of [
	["after a pass", null, "t.pass();", 20],
	["after it was killed", "ended by SIGKILL", `process.kill(process.pid, "SIGKILL");\n${STUCK}`, 20],
	["after it was given up", "did not end in time", `setTimeout(() => { ${STUCK} }, 100);`, 2],
] as const)
	t.test(`processes that a file has started end with it, ${when}`, async (t) => {
		const { fault: got, output } = await run(t, `${LEAVES}\n${end}`, timeoutSeconds);
		t.equal(got, fault);
		t.ok(await ends(leftIn(output)));
	});

t.test("a signal to the runner ends its files", async (t) => {
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
