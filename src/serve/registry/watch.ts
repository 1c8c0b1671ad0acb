/** Notices that the log of a store has grown. */
import { stat } from "node:fs/promises";
import { join } from "node:path";

/** How often the log is looked at, on any file system: an alias that is moved back must take effect within a second. */
const POLL_MS = 200;

/** @param changed called once at first, then after each change @returns stops it */
export function watchStore(directory: string, changed: () => void): () => void {
	const path = join(directory, "log.jsonl");
	let seen: string | null = null;
	let looking = false;
	const look = async (): Promise<void> => {
		if (looking) return;
		looking = true;
		const { mtimeMs, size } = await stat(path).catch(() => ({ mtimeMs: 0, size: 0 }));
		looking = false;
		const now = `${mtimeMs} ${size}`;
		if (now === seen) return;
		seen = now;
		changed();
	};
	const timer = setInterval(look, POLL_MS);
	void look();
	return () => clearInterval(timer);
}
