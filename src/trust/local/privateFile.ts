/** Files that only the own user can read, replaced atomically. */
import type { Stats } from "node:fs";
import { mkdir, open, rename, unlink } from "node:fs/promises";
import { dirname } from "node:path";

/** Whether users other than the own user and root could have written the file. */
export function othersCanWrite({ mode, uid }: Pick<Stats, "mode" | "uid">): boolean {
	const own = process.getuid?.();
	return (mode & 0o022) !== 0 || (own !== undefined && uid !== own && uid !== 0);
}

/**
 * Replaces the file atomically; durable when it resolves. One call at a time for a path.
 * @throws errors of the file system; then the old file stays
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
 * Removes the file durably.
 * @throws errors of the file system
 */
export async function removePrivate(path: string): Promise<void> {
	if (await unlinkAny(path)) await syncFolder(dirname(path));
}

/**
 * Not `rm`: if a folder replaces the file meanwhile, it would be removed with its content.
 * @returns whether there was a file
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
