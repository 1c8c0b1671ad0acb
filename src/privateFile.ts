/** Files that only the own user may read, replaced as a whole. */
import { mkdir, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";

/**
 * All or nothing, and durable when it resolves: written aside, synced, renamed, and the folder synced.
 * @param aside where it is written first; of one such path one call at a time, of all processes
 * @throws the disk's own errors; what was there stays
 */
export async function replacePrivate(path: string, content: string | Uint8Array, aside = `${path}.new`): Promise<void> {
	const folder = dirname(path);
	await mkdir(folder, { recursive: true, mode: 0o700 });
	await rm(aside, { force: true });
	const handle = await open(aside, "wx", 0o600);
	try {
		await handle.writeFile(content);
		await handle.sync();
	} finally {
		await handle.close();
	}
	await rename(aside, path);
	const opened = await open(folder, "r");
	try {
		await opened.sync();
	} finally {
		await opened.close();
	}
}
