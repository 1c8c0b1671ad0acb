/** One writer of a store at a time. A writer that was killed leaves its lock, which the next one recognises and removes. */
import { randomBytes } from "node:crypto";
import { link, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { WeirError } from "../../error.js";

/** Longest wait for another writer: the push of a large model. */
const LOCK_WAIT_MS = 60_000;
const LOCK_POLL_MS = 50;

/** @throws WeirError `unavailable` if another process writes for longer than LOCK_WAIT_MS */
export async function locked<T>(directory: string, work: () => Promise<T>, waitMs = LOCK_WAIT_MS): Promise<T> {
	await mkdir(directory, { recursive: true, mode: 0o700 });
	const path = join(directory, "lock");
	const own = `${path}.${randomBytes(8).toString("hex")}`;
	const until = performance.now() + waitMs;
	// A link to a complete file: a lock always names its owner.
	await writeFile(own, JSON.stringify({ pid: process.pid, host: hostname(), own }), { flag: "wx" });
	try {
		while (!(await take(own, path))) {
			if (performance.now() > until)
				throw new WeirError("unavailable", `another process writes to ${directory}`, `if none does, remove ${path}`);
			await pause(LOCK_POLL_MS);
		}
		try {
			return await work();
		} finally {
			await rm(path, { force: true });
		}
	} finally {
		await rm(own, { force: true });
	}
}

async function take(own: string, path: string): Promise<boolean> {
	try {
		await link(own, path);
		return true;
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
	}
	const found = await readFile(path, "utf8").catch(() => null);
	if (found === null || !isAbandoned(found)) return false;
	// Another waiter may have replaced it meanwhile: what was moved aside decides.
	const aside = `${own}.old`;
	await rename(path, aside).catch(() => {});
	const moved = await readFile(aside, "utf8").catch(() => null);
	if (moved !== null && moved !== found) await link(aside, path).catch(() => {});
	await rm(aside, { force: true });
	return false;
}

/** Its process has ended. Processes of another machine are not seen here, so their lock stays. */
function isAbandoned(lock: string): boolean {
	try {
		const { pid, host } = JSON.parse(lock) as { pid: number; host: string };
		if (host !== hostname()) return false;
		process.kill(pid, 0);
		return false;
	} catch (error) {
		return (error as NodeJS.ErrnoException).code === "ESRCH";
	}
}
