import { openSync, readSync } from "node:fs";

/** Of this thread's, which is looked up when it is opened: each has its own, to its end. null = not Linux, or not told. */
const SCHEDSTAT = openSchedstat();

const BUFFER = Buffer.alloc(128);

/**
 * Milliseconds that this thread has computed since then, whatever the machine or the process's other threads do meanwhile:
 * right in sum, by a clock tick (some ms) more or less each time. Where no thread's time is told, and Node 20 tells none, the
 * lesser of two that are somewhat more: of the clock's, which goes on where something else has the core, and of the process's
 * CPU time, which is of all its threads.
 */
export function stopwatch(): () => number {
	const threadMs = ranMs();
	const [fromMs, from] = [performance.now(), process.cpuUsage()];
	return () => {
		const { user, system } = process.cpuUsage(from);
		const most = Math.min(performance.now() - fromMs, (user + system) / 1_000);
		return threadMs === null ? most : (ranMs() ?? 0) - threadMs;
	};
}

function openSchedstat(): number | null {
	try {
		return openSync("/proc/thread-self/schedstat", "r");
	} catch {
		return null;
	}
}

/** null also where the kernel counts nothing: it tells zeros. */
function ranMs(): number | null {
	if (SCHEDSTAT === null) return null;
	const length = readSync(SCHEDSTAT, BUFFER, 0, BUFFER.length, 0);
	const [ns] = BUFFER.toString("latin1", 0, length).split(" ");
	return Number(ns) > 0 ? Number(ns) / 1_000_000 : null;
}
