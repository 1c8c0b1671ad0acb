/**
 * Reads files that a resource names, with limits of size and time. A pipe or a dead network mount can block a thread for
 * ever, and Node has only four for all files and DNS look-ups.
 */
import { constants, type FileHandle, open } from "node:fs/promises";
import { KEYS_BYTES_MAX } from "../../limits/index.js";

/** Timeout of reading a file that a resource names: a mount whose server is down never answers. */
const FILE_READ_MS = 5_000;

/** File reads that hang: each holds one of Node's four threads, and two stay free. */
export const FILES_STUCK_MAX = 2;

export interface DeclaredFiles {
	/**
	 * @returns the bytes of a regular file of at most KEYS_BYTES_MAX bytes
	 * @throws Error without any content of the file
	 */
	read(path: string): Promise<Uint8Array>;
}

export type OpenFile = (path: string) => Promise<Pick<FileHandle, "stat" | "read" | "close">>;

/** O_NONBLOCK: does not wait for the other end of a pipe. */
const openNonBlocking: OpenFile = (path) => open(path, constants.O_RDONLY | constants.O_NONBLOCK);

/** Use one per process: it counts the blocked threads of the process. */
export function boundedFiles(openFile: OpenFile = openNonBlocking, withinMs: number = FILE_READ_MS): DeclaredFiles {
	/** Paths of reads that have not returned; each blocks a thread. */
	const stuck = new Set<string>();
	return {
		read: async (path) => {
			if (stuck.has(path)) throw new Error("an earlier read of the file has not ended");
			if (stuck.size >= FILES_STUCK_MAX) throw new Error(`reads of ${stuck.size} other files have not ended`);
			const reading = wholeFile(path, openFile);
			let timer: NodeJS.Timeout | undefined;
			const late = new Promise<never>((_, reject) => {
				timer = setTimeout(() => {
					stuck.add(path);
					const unblock = (): boolean => stuck.delete(path);
					reading.then(unblock, unblock);
					reject(new Error(`the file was not read within ${withinMs} ms`));
				}, withinMs);
			});
			return Promise.race([reading, late]).finally(() => clearTimeout(timer));
		},
	};
}

async function wholeFile(path: string, openFile: OpenFile): Promise<Uint8Array> {
	const file = await openFile(path);
	try {
		if (!(await file.stat()).isFile()) throw new Error("it is no regular file");
		const bytes = Buffer.alloc(KEYS_BYTES_MAX + 1);
		let length = 0;
		for (;;) {
			const { bytesRead } = await file.read(bytes, length, bytes.length - length);
			if (bytesRead === 0) return bytes.subarray(0, length);
			length += bytesRead;
			if (length > KEYS_BYTES_MAX) throw new Error(`the file is larger than ${KEYS_BYTES_MAX} bytes`);
		}
	} finally {
		await file.close();
	}
}

const files = boundedFiles();

/** Reads a file that a resource names. */
export const readDeclaredFile = (path: string): Promise<Uint8Array> => files.read(path);
