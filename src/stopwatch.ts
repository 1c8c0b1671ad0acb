import { openSync, readSync } from "node:fs";

/** This thread's, which is looked up when it is opened: each has its own, to its end. null = not Linux, or not told. */
const SCHEDSTAT = openSchedstat();

const BUFFER = Buffer.alloc(128);

/** What the kernel tells of this thread, as text; null = nothing. */
type Told = () => string | null;

/**
 * Milliseconds that this thread has computed since then, whatever the machine or the process's other threads do meanwhile:
 * right in sum, by a clock tick (some ms) more or less each time. Where no thread's time is told, and Node 20 tells none, the
 * lesser of two that are somewhat more: of the clock's, which goes on where something else has the core, and of the process's
 * CPU time, which is of all its threads.
 */
export function stopwatch(told: Told = schedstat): () => number {
	const threadMs = ranMs(told());
	const [fromMs, from] = [performance.now(), process.cpuUsage()];
	return () => {
		const { user, system } = process.cpuUsage(from);
		const most = Math.min(performance.now() - fromMs, (user + system) / 1_000);
		const nowMs = ranMs(told());
		return threadMs === null || nowMs === null ? most : nowMs - threadMs;
	};
}

function openSchedstat(): number | null {
	try {
		return openSync("/proc/thread-self/schedstat", "r");
	} catch {
		return null;
	}
}

function schedstat(): string | null {
	if (SCHEDSTAT === null) return null;
	return BUFFER.toString("latin1", 0, readSync(SCHEDSTAT, BUFFER, 0, BUFFER.length, 0));
}

/** null also where the kernel counts nothing: it tells zeros. */
function ranMs(told: string | null): number | null {
	const [ns] = (told ?? "").split(" ");
	return Number(ns) > 0 ? Number(ns) / 1_000_000 : null;
}
