/** Files of the own user: replaced as a whole, readable by nobody else, and believed where nobody else could have written them. */
import type { Stats } from "node:fs";
import { mkdir, open, rename, unlink } from "node:fs/promises";
import { dirname } from "node:path";

/** Whether others than its owner and root could have written a file; that owner is to be the own user, or root. */
export function othersCanWrite({ mode, uid }: Pick<Stats, "mode" | "uid">): boolean {
	const own = process.getuid?.();
	return (mode & 0o022) !== 0 || (own !== undefined && uid !== own && uid !== 0);
}

/**
 * All or nothing, and durable when it resolves: written aside, synced, renamed, and the folder synced. One call at a time for a path.
 * @throws the disk's own errors; what was there stays
 */
export async function replacePrivate(path: string, content: string | Uint8Array): Promise<void> {
	const aside = `${path}.new`;
	const folder = dirname(path);
	await mkdir(folder, { recursive: true, mode: 0o700 });
	await unlinkAny(aside);
	const handle = await open(aside, "wx", 0o600);
	try {
		await handle.writeFile(content);
		await handle.sync();
	} finally {
		await handle.close();
	}
	await rename(aside, path);
	await syncFolder(folder);
}

/**
 * Nothing is there when it resolves, nor after a crash.
 * @throws the disk's own errors
 */
export async function removePrivate(path: string): Promise<void> {
	if (await unlinkAny(path)) await syncFolder(dirname(path));
}

/**
 * Not `rm`, which looks first and removes a folder with all that is in it where one takes the file's place meanwhile.
 * @returns whether a file was there
 */
async function unlinkAny(path: string): Promise<boolean> {
	try {
		await unlink(path);
		return true;
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
		throw error;
	}
}

async function syncFolder(folder: string): Promise<void> {
	const opened = await open(folder, "r");
	try {
		await opened.sync();
	} finally {
		await opened.close();
	}
}
