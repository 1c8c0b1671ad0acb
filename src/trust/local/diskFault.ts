/** Why a disk did not take something, in words. */
import { statfsSync } from "node:fs";

/** Less than this is none: who writes needs some at once, and gets a part of it. */
const ROOM_BYTES_MIN = 1024 * 1024;

/** For a person, and for whoever may ask: nothing of the disk but that it is full is in it. */
export const NO_ROOM = "no space left on the disk";

/**
 * Whether it was for want of room. LMDB calls a write that the disk took a part of an input/output error.
 * @param folder where it was to be written
 */
export function isForWantOfRoom(error: unknown, folder: string): boolean {
	return /ENOSPC|EDQUOT|no space left|disk quota exceeded/i.test(String(error)) || isFull(folder);
}

/** Whether the disk of the folder is full, for all that can be said. */
export function isFull(folder: string): boolean {
	try {
		const { bavail, bsize, blocks } = statfsSync(folder);
		// Some file systems tell no sizes.
		return blocks > 0 && bavail * bsize < ROOM_BYTES_MIN;
	} catch {
		return false;
	}
}
