/**
 * The memory of the built-in probe on disk: an xds that starts anew goes on with the alarms that stand and with the counters
 * that the one before it read last. One file, replaced as a whole after each round and not before it: what a crash cuts off
 * there is found again, for the older counters are compared then. One that cannot be read is laid aside as `FILE.lost`, for a
 * person to look at: the alarms that were in it may not come again, and while it lies there that is an alarm itself.
 */
import { existsSync } from "node:fs";
import { lstat, readFile, rename, rm } from "node:fs/promises";
import type { ForgottenAlarms } from "../access/bypass/probe.js";
import { WeirError } from "../error.js";
import { PROBE_MEMORY_BYTES_MAX } from "../limits.js";
import { replacePrivate } from "../privateFile.js";
import { within } from "../within.js";
import { type ProbeMemory, readMemory, writeMemory } from "./memory.js";

export class MemoryShelf {
	/** Not written yet. */
	#due: ProbeMemory | null = null;
	#writing: Promise<void> | null = null;
	/** Of writing. */
	#failing = false;
	/** Tries again what could not be written. */
	#again: NodeJS.Timeout | null = null;

	/**
	 * @param file in a folder of our own
	 * @param onTrouble told why it could not be read, or written: that once, until it is well again
	 * @param onWell told when it could be written again
	 */
	constructor(
		readonly file: string,
		readonly onTrouble: (why: string) => void,
		readonly onWell: () => void = () => {},
	) {}

	/** null = there is none, or it is torn or foreign, which is told, and laid aside: all begins anew. Never rejects. */
	async recall(): Promise<ProbeMemory | null> {
		try {
			const found = await lstat(this.file).catch((error: NodeJS.ErrnoException) => {
				if (error.code === "ENOENT") return null;
				throw error;
			});
			if (found === null) return null;
			if (!found.isFile() || found.uid !== process.getuid?.()) throw new TypeError("it is no file of ours");
			if (found.size > PROBE_MEMORY_BYTES_MAX) throw new TypeError("it is too long");
			return await readMemory(await readFile(this.file));
		} catch (error) {
			this.onTrouble(wordsOf(error));
			await rename(this.file, lostFile(this.file)).catch((fault: unknown) => this.onTrouble(wordsOf(fault)));
			return null;
		}
	}

	/** Of this file, what stands now. Never rejects. */
	async alarms(): Promise<readonly ForgottenAlarms[]> {
		const isLost = await lstat(lostFile(this.file)).then(
			() => true,
			(error: NodeJS.ErrnoException) => error.code !== "ENOENT",
		);
		return [
			...(isLost ? [{ alarm: "probe-memory-lost", gateway: "" } as const] : []),
			...(this.#failing ? [{ alarm: "probe-memory-unwritten", gateway: "" } as const] : []),
		];
	}

	/** Takes the newest. */
	keep(memory: ProbeMemory): void {
		this.#due = memory;
		this.#writing ??= this.#write();
	}

	/** When all is written, or the disk has had a second for it. */
	async close(): Promise<void> {
		this.#tryNoMore();
		await within(CLOSING_MS, this.#writing);
		this.#tryNoMore();
	}

	#tryNoMore(): void {
		if (this.#again !== null) clearTimeout(this.#again);
		this.#again = null;
	}

	/** Whether there is something in that file, or was, and is lost. */
	static holds(file: string): boolean {
		return existsSync(file) || existsSync(lostFile(file));
	}

	/** All of it, what was laid aside too. */
	async remove(): Promise<void> {
		await this.close();
		await Promise.all([this.file, lostFile(this.file)].map((file) => rm(file, { force: true })));
	}

	async #write(): Promise<void> {
		this.#tryNoMore();
		while (this.#due !== null) {
			const memory = this.#due;
			this.#due = null;
			try {
				const bytes = await writeMemory(memory);
				if (bytes.length > PROBE_MEMORY_BYTES_MAX) throw new TypeError("it is too long");
				await replacePrivate(this.file, bytes);
				const wasFailing = this.#failing;
				this.#failing = false;
				if (wasFailing) this.onWell();
			} catch (error) {
				if (!this.#failing) this.onTrouble(wordsOf(error));
				this.#failing = true;
				if (this.#due !== null) continue;
				this.#again = setTimeout(() => this.keep(memory), AGAIN_MS);
			}
		}
		this.#writing = null;
	}
}

const lostFile = (file: string): string => `${file}.lost`;

const wordsOf = (error: unknown): string => (error instanceof Error ? error.message : WeirError.from(error).message);

const CLOSING_MS = 1_000;
/** The next round, which would write it, may be half a minute off. */
const AGAIN_MS = 2_000;
