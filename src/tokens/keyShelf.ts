/**
 * Key sets of issuers on disk, so that a process that starts while an issuer is slow or down verifies by what was had
 * before, for as long as the process before it would have. One file for each source: its keys, public ones alone, and when
 * they were asked for, by the wall clock. Several processes may have one folder: each file is replaced as a whole, and not by
 * what was asked for earlier, which may hold a key that has been withdrawn.
 */
import { createHash, randomUUID } from "node:crypto";
import {
	closeSync,
	constants,
	fstatSync,
	lstatSync,
	mkdirSync,
	openSync,
	readdirSync,
	readFileSync,
	realpathSync,
	rmSync,
} from "node:fs";
import { join } from "node:path";
import { WeirError } from "../error.js";
import { KEYS_BYTES_MAX, KEYS_KEPT_REFRESH_MS, KEYS_URL_MS, TABLE_CLOCK_SKEW_MS } from "../limits.js";
import { othersCanWrite, replacePrivate } from "../privateFile.js";
import type { KeySource } from "../resources/resource.js";
import { requireOwnFolder } from "../socket.js";
import { readKeySet } from "./keySet.js";
import { publishedKeySet } from "./publishedKeys.js";

/** Of the file's form; another one is not read. */
const FORMAT = 1;

/** With algorithms and uses written out a set is longer than it came. */
const FILE_BYTES_MAX = 2 * KEYS_BYTES_MAX;

export interface KeyShelfOptions {
	/** Told of each file that is not believed, and once, until it is well again, of the disk. */
	readonly onTrouble: (why: string) => void;
	readonly wallMs?: () => number;
	readonly replace?: typeof replacePrivate;
}

/** The last good set of one source, as it outlives the process. */
export interface KeptKeys {
	/** null = there is none, or none that is whole and this source's. Blocks for as long as that takes. Never throws. */
	recall(): { readonly bytes: Uint8Array; readonly ageMs: number } | null;
	/**
	 * The source has just said these bytes; a set without any usable key takes the kept one away. Never throws.
	 * @param tookMs since it was asked for them
	 */
	keep(bytes: Uint8Array, tookMs?: number): void;
	/** Nobody names the source any more: nothing of it stays. Never throws. */
	forget(): void;
}

interface KeptFile {
	readonly bytes: Uint8Array;
	readonly hadAtMs: number;
	/** The source had no usable key then. */
	readonly isEmpty: boolean;
}

export class KeyShelf {
	readonly #wallMs: () => number;
	/** One after the other. */
	#writing: Promise<void> = Promise.resolve();
	#failing = false;

	private constructor(
		readonly directory: string,
		private readonly options: KeyShelfOptions,
	) {
		this.#wallMs = options.wallMs ?? Date.now;
	}

	/**
	 * Makes the folder (0700), and takes out of it what is too old to be believed.
	 * @returns null where that cannot be, which is told: keys are verified by all the same
	 */
	static open(directory: string, options: KeyShelfOptions): KeyShelf | null {
		try {
			mkdirSync(directory, { recursive: true, mode: 0o700 });
			requireOwnFolder(realpathSync(directory));
			const shelf = new KeyShelf(directory, options);
			for (const file of readdirSync(directory)) if (NAME.test(file)) shelf.#removeOld(join(directory, file));
			return shelf;
		} catch (error) {
			options.onTrouble(WeirError.from(error).message);
			return null;
		}
	}

	of(source: KeySource): KeptKeys {
		const name = JSON.stringify(source.from === "file" ? ["file", source.file] : ["url", source.url, source.caFile]);
		const path = join(this.directory, `${createHash("sha256").update(name).digest("hex")}.json`);
		let last = "";
		let keptAtMs = Number.NEGATIVE_INFINITY;
		let isForgotten = false;
		return {
			recall: () => {
				try {
					return this.#read(path, name);
				} catch (error) {
					this.options.onTrouble(`${path}: ${WeirError.from(error).message}`);
					return null;
				}
			},
			keep: (bytes, tookMs = 0) => {
				const atMs = Math.floor(this.#wallMs() - tookMs);
				const digest = createHash("sha256").update(bytes).digest("hex");
				// Its time is some other only now and then, so that a file that is looked at every second wears out no disk.
				if (isForgotten || (digest === last && Math.abs(atMs - keptAtMs) < KEYS_KEPT_REFRESH_MS)) return;
				[last, keptAtMs] = [digest, atMs];
				const set = readKeySet(bytes);
				// Also one without a key: an earlier answer must not bring back what it takes away.
				const text = set === null ? null : fileText(name, atMs, set.keys.length === 0 ? NO_KEYS : publishedKeySet(set));
				const write = async (): Promise<void> => {
					if (this.#isOlder(atMs, path, name)) last = "";
					else if (!(await this.#replace(path, text))) last = "";
					if (isForgotten) rmSync(path, { force: true });
				};
				this.#writing = this.#writing.then(write).catch((error: unknown) => this.#troubled(error));
			},
			forget: () => {
				isForgotten = true;
				try {
					rmSync(path, { force: true });
				} catch (error) {
					this.#troubled(error);
				}
			},
		};
	}

	/** Whether another process has put there what was asked for after that time. */
	#isOlder(atMs: number, path: string, name: string): boolean {
		try {
			const found = this.#kept(path, name);
			// Of the future: the clock was set back.
			return found !== null && found.hadAtMs > atMs && found.hadAtMs <= this.#wallMs();
		} catch {
			return false;
		}
	}

	#read(path: string, name: string): { readonly bytes: Uint8Array; readonly ageMs: number } | null {
		const found = this.#kept(path, name);
		if (found === null) return null;
		const ageMs = this.#wallMs() - found.hadAtMs;
		// From the future: nobody knows how old it is.
		if (ageMs < -TABLE_CLOCK_SKEW_MS) throw new TypeError("it is of the future");
		return found.isEmpty ? null : { bytes: found.bytes, ageMs: Math.max(0, ageMs) };
	}

	/** @throws TypeError where it is not whole and this source's */
	#kept(path: string, name: string): KeptFile | null {
		const text = readPrivate(path);
		if (text === null) return null;
		let value: Partial<Record<"format" | "source" | "hadAtMs" | "keys", unknown>> | null;
		try {
			value = JSON.parse(text);
		} catch {
			throw new TypeError("it is not JSON");
		}
		if (value?.format !== FORMAT) throw new TypeError(`it is not of format ${FORMAT}`);
		const { source, hadAtMs, keys } = value;
		if (source !== name) throw new TypeError("it is another source's");
		if (typeof hadAtMs !== "number" || !Number.isSafeInteger(hadAtMs)) throw new TypeError("it names no time");
		const bytes = Buffer.from(JSON.stringify({ keys }));
		const set = readKeySet(bytes);
		// What was kept was usable, all of it.
		if (set === null || set.leftOut.length > 0) throw new TypeError("its keys are harmed");
		return { bytes, hadAtMs, isEmpty: set.keys.length === 0 };
	}

	/** @returns whether the disk has it. What it does not take is gone: what was there before may be withdrawn by now. */
	async #replace(path: string, text: string | null): Promise<boolean> {
		try {
			if (text === null) rmSync(path, { force: true });
			else await (this.options.replace ?? replacePrivate)(path, text, `${path}.${randomUUID()}.new`);
			this.#failing = false;
			return true;
		} catch (error) {
			this.#troubled(error);
			rmSync(path, { force: true });
			return false;
		}
	}

	/** Nobody's hands are tied by one that cannot be removed: it is too old to be believed. */
	#removeOld(path: string): void {
		try {
			// Another process may just have put it in its place.
			const found = lstatSync(path, { throwIfNoEntry: false });
			if (found !== undefined && this.#wallMs() - found.mtimeMs > KEYS_URL_MS.stale) rmSync(path, { force: true });
		} catch (error) {
			this.#troubled(error);
		}
	}

	#troubled(error: unknown): void {
		if (!this.#failing) this.options.onTrouble(WeirError.from(error).message);
		this.#failing = true;
	}
}

const NO_KEYS = '{"keys":[]}';

/** Ours, and those of a write that a crash cut off. */
const NAME = /^[0-9a-f]{64}\.json(\.[-0-9a-f]{36}\.new)?$/;

const fileText = (source: string, hadAtMs: number, keySet: string): string =>
	`${JSON.stringify({ format: FORMAT, source, hadAtMs, ...(JSON.parse(keySet) as object) })}\n`;

/** @returns null where nothing is there. A file that others could have written is not read. */
function readPrivate(path: string): string | null {
	let file: number;
	try {
		// Not blocking: a pipe that lies there must not hold up the start.
		file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
		throw error;
	}
	try {
		const found = fstatSync(file);
		if (!found.isFile()) throw new TypeError("it is no file");
		if (found.size > FILE_BYTES_MAX) throw new TypeError(`it has ${found.size} bytes`);
		if (othersCanWrite(found)) throw new TypeError("others can write it");
		return readFileSync(file, "utf8");
	} finally {
		closeSync(file);
	}
}
