/** What a process has used, from /proc: CPU time of all threads, and resident memory (proc_pid_stat(5), status). */
import { readdir, readFile } from "node:fs/promises";

/** USER_HZ: /proc/PID/stat counts in hundredths of a second on every Linux (proc_pid_stat(5)). */
const TICK_US = 10_000;

/** CPU microseconds that a process has used so far, all threads: from the scheduler in ns, else in ticks. */
export async function cpuUs(pid: number): Promise<number> {
	const tasks = await readdir(`/proc/${pid}/task`);
	const lines = await Promise.all(
		tasks.map((task) => readFile(`/proc/${pid}/task/${task}/schedstat`, "utf8").catch(() => "")),
	);
	if (lines.every((line) => line !== ""))
		return lines.reduce((sum, line) => sum + Number(line.split(" ")[0]), 0) / 1_000;
	const stat = await readFile(`/proc/${pid}/stat`, "utf8");
	// The command name in parentheses may hold blanks; utime and stime are fields 14 and 15.
	const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
	return (Number(fields[11]) + Number(fields[12])) * TICK_US;
}

/** VmRSS in MiB. */
export async function residentMiB(pid: number): Promise<number> {
	const status = await readFile(`/proc/${pid}/status`, "utf8");
	return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? Number.NaN) / 1_024;
}
