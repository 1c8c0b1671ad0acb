/**
 * Exclusive ownership of a state file by one process. LMDB itself would let several processes write, and two controls
 * that decide side by side would undo each other, so the owner writes its name into the file inside a write
 * transaction (LMDB's writer lock is a robust mutex: it serialises two starters and dies with its holder).
 *
 * A process is recognised by its pid *and* its start time, so that a pid used again after kill -9 is not mistaken
 * for the old owner; a zombie does not count as alive. Known limit: processes that share the file across PID
 * namespaces (two containers on one volume) cannot see each other.
 */
import { readFileSync } from "node:fs";

export interface Owner {
	readonly pid: number;
	/** Clock ticks since boot at which it started (proc(5), stat field 22); null where there is no /proc. */
	readonly startTicks: string | null;
	/** Changes with every boot: a process of an earlier boot is not alive. null where there is no /proc. */
	readonly bootId: string | null;
}

export function thisProcess(): Owner {
	return { pid: process.pid, startTicks: runningSince(process.pid), bootId: bootId() };
}

export function isAlive(owner: Owner): boolean {
	if (owner.startTicks !== null) return owner.bootId === bootId() && runningSince(owner.pid) === owner.startTicks;
	try {
		process.kill(owner.pid, 0);
		return true;
	} catch (error) {
		// EPERM: it is alive and belongs to another user.
		return (error as NodeJS.ErrnoException).code === "EPERM";
	}
}

/** Start time of a running process; null for no process, a zombie, or a system without /proc. */
function runningSince(pid: number): string | null {
	const stat = read(`/proc/${pid}/stat`);
	if (stat === null) return null;
	// The command name (field 2) may hold spaces and parentheses; fields are counted after its last one.
	const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
	const state = fields[0];
	return state === "Z" || state === "X" ? null : (fields[19] ?? null);
}

function bootId(): string | null {
	return read("/proc/sys/kernel/random/boot_id")?.trim() ?? null;
}

function read(path: string): string | null {
	try {
		return readFileSync(path, "utf8");
	} catch {
		return null;
	}
}
