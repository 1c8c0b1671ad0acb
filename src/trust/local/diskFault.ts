/** Detects a full disk. */
import { statfsSync } from "node:fs";

/** With less free space the disk counts as full. */
const FREE_BYTES_MIN = 1024 * 1024;

/** For logs and clients, without details of the disk. */
export const DISK_FULL = "no space left on the disk";

/**
 * Whether a write failed because the disk is full. LMDB reports a partial write as an input/output error.
 * @param folder of the write
 */
export function failedOnFullDisk(error: unknown, folder: string): boolean {
	return /ENOSPC|EDQUOT|no space left|disk quota exceeded/i.test(String(error)) || isFull(folder);
}

/** Whether the folder's disk is full; false if unknown. */
export function isFull(folder: string): boolean {
	try {
		const { bavail, bsize, blocks } = statfsSync(folder);
		// Some file systems report no sizes.
		return blocks > 0 && bavail * bsize < FREE_BYTES_MIN;
	} catch {
		return false;
	}
}
