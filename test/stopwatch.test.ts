/** What is charged to somebody is what the thread computes for it. */
import { existsSync } from "node:fs";
import { Worker } from "node:worker_threads";
import t from "tap";
import { stopwatch } from "../src/stopwatch.js";

const compute = (ms: number): void => {
	const from = process.cpuUsage();
	while (process.cpuUsage(from).user < ms * 1_000);
};

const skip = existsSync("/proc/thread-self/schedstat") ? false : "no thread's time is told here";

t.test("neither the other threads' time nor a wait is the thread's", { skip }, async (t) => {
	const computed = new Int32Array(new SharedArrayBuffer(8));
	const other = new Worker(
		`const { workerData: computed } = require("node:worker_threads");
		while (Atomics.load(computed, 1) === 0) Atomics.add(computed, 0, 1);`,
		{ eval: true, workerData: computed },
	);
	t.teardown(() => other.terminate());
	await new Promise((resolve) => other.once("online", resolve));
	const spentMs = stopwatch();
	const from = process.cpuUsage();
	// As DuckDB's do, meanwhile.
	while (process.cpuUsage(from).user < 500_000) Atomics.wait(computed, 1, 0, 20);
	Atomics.store(computed, 1, 1);
	t.ok(spentMs() < 250, `${spentMs()} ms of a process's 500`);
});

t.test("where no thread's time is told, or none any more, what is computed is counted all the same", (t) => {
	const ZEROS = "0 0 0\n";
	for (const [what, ...told] of [
		["no such file", null, null],
		["zeros", ZEROS, ZEROS],
		["none any more", "5000000000 0 1\n", null],
		["zeros from then on", "5000000000 0 1\n", ZEROS],
		["told from then on", null, "5000000000 0 1\n"],
	] as const) {
		const left: (string | null)[] = [...told];
		const spentMs = stopwatch(() => left.shift() ?? null);
		compute(50);
		const spent = spentMs();
		t.ok(spent > 10 && spent < 5_000, `${what}: ${spent} ms of some 50`);
	}
	t.end();
});

t.test("what the thread computes is counted, in many small parts too", (t) => {
	let sumMs = 0;
	for (let times = 0; times < 100; times++) {
		const spentMs = stopwatch();
		compute(2);
		sumMs += spentMs();
	}
	t.ok(sumMs > 50, `${sumMs} ms of some 200`);
	t.end();
});
