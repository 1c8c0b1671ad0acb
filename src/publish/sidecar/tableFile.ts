/**
 * The last good table on disk, with its age, for a start while control is unavailable. A damaged file is ignored. The file
 * is removed before another table comes into force, so that a restart after a crash cannot use revoked rules.
 */
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { WeirError } from "../../error.js";
import { TABLE_FILE_BYTES_MAX } from "../../limits/index.js";
import { within } from "../../limits/within.js";
import { othersCanWrite, removePrivate, replacePrivate } from "../../trust/local/privateFile.js";
import { type Clock, SYSTEM_CLOCK } from "./clock.js";
import { readTable, tableJson } from "./tableReader.js";
import type { TableLog, Tables, VersionedTable } from "./tables.js";

/** How often the sidecar updates the time in its table file. After a restart the table's age is wrong by at most this. */
const TABLE_FILE_REFRESH_MS = 10_000;

/**
 * How long a new table waits for the write (0.3 s for 8 MiB) and removal of the previous file. A hanging disk must not
 * delay a denial.
 */
const TABLE_FILE_SWAP_MS_MAX = 2_000;

/** How far in the future a file's time may be; beyond it the table's age is unknown. */
export const TABLE_CLOCK_SKEW_MS = 5_000;

/** Version of the file format; other versions are not read. */
const FORMAT = 1;

export interface TableFileOptions {
	readonly log: TableLog;
	readonly clock?: Clock;
	readonly refreshMs?: number;
	readonly remove?: typeof removePrivate;
}

export interface SavedTable {
	readonly given: VersionedTable;
	/** Wall clock. */
	readonly confirmedAtMs: number;
}

export class TableFile {
	readonly #log: TableLog;
	readonly #clock: Clock;
	readonly #refreshMs: number;
	readonly #removing: typeof removePrivate;
	/** The newest table, serialised without its time, so that a refresh is cheap. */
	#body: { readonly version: string; readonly text: string } | null = null;
	/** Version of the table on disk; null = none or unknown. */
	#onDisk: string | null = null;
	/** A failed write was logged. */
	#failing = false;

	constructor(
		readonly path: string,
		{ log, clock = SYSTEM_CLOCK, refreshMs = TABLE_FILE_REFRESH_MS, remove = removePrivate }: TableFileOptions,
	) {
		this.#log = log;
		this.#clock = clock;
		this.#refreshMs = refreshMs;
		this.#removing = remove;
	}

	/**
	 * Makes the file's table the newest, with its age, unless there is a table already. Logs errors.
	 * @returns whether it did
	 */
	async restore<Compiled>(tables: Tables<Compiled>): Promise<boolean> {
		try {
			const saved = await this.load();
			if (saved === null || tables.newest !== null || tables.taking) return false;
			const { given, confirmedAtMs } = saved;
			this.#onDisk = given.version;
			await tables.take(given, () => {
				const ageMs = this.#clock.wallMs() - confirmedAtMs;
				// A time in the future: the age is unknown, so it counts as infinite.
				tables.setAge(ageMs < -TABLE_CLOCK_SKEW_MS ? Number.POSITIVE_INFINITY : Math.max(0, ageMs));
				this.#log.info("the last good table is served until control gives one", {
					version: given.version,
					ageMs: tables.ageMs() === Number.POSITIVE_INFINITY ? "unknown" : Math.round(tables.ageMs()),
				});
			});
			return true;
		} catch (error) {
			// Messages of other errors may quote the table.
			const why = error instanceof WeirError ? error.message : "it cannot be read or compiled";
			this.#log.warn("the file of the last good table is ignored", { path: this.path, why });
			return false;
		}
	}

	/**
	 * @returns null if there is no file
	 * @throws WeirError if the file cannot be trusted
	 */
	async load(): Promise<SavedTable | null> {
		const text = await readPrivate(this.path);
		if (text === null) return null;
		let value: Partial<Record<"format" | "version" | "table" | "confirmedAtMs", unknown>> | null;
		try {
			value = JSON.parse(text);
		} catch (error) {
			throw new WeirError("invalid-argument", "it is not JSON", "", { cause: error });
		}
		if (value?.format !== FORMAT) throw new WeirError("invalid-argument", `it is not of format ${FORMAT}`);
		const { version, table, confirmedAtMs } = value;
		if (typeof version !== "string" || !Number.isSafeInteger(confirmedAtMs)) {
			throw new WeirError("invalid-argument", "it names no version or no time");
		}
		return { given: readTable(version, JSON.stringify(table) ?? ""), confirmedAtMs: confirmedAtMs as number };
	}

	/**
	 * Writes each new table, and regularly the time of its confirmation; one write at a time. A table of take() comes into
	 * force when no other table is on disk.
	 * @returns stops it, after pending tables and the last write
	 */
	follow<Compiled>(tables: Tables<Compiled>): () => Promise<void> {
		let disk: Promise<unknown> = Promise.resolve();
		let due = false;
		let swapping = false;
		const save = (): void => {
			// Changes of one turn (a new table and its confirmation) are one write.
			if (due) return;
			due = true;
			disk = disk.then(() => {
				due = false;
				return swapping ? undefined : this.#save(tables);
			});
		};
		tables.onSwap(async (version, swap) => {
			let cleared = false;
			swapping = true;
			disk = disk.then(async () => {
				if (this.#onDisk !== version) await this.#remove();
				cleared = true;
			});
			await within(TABLE_FILE_SWAP_MS_MAX, disk);
			if (!cleared) this.#log.warn("the disk is slow: a restart may answer by the table before", { path: this.path });
			try {
				swap();
			} finally {
				swapping = false;
				// If swap() failed, this writes the previous table again.
				save();
			}
		});
		const stop = tables.onChange(save);
		const timer = setInterval(() => tables.confirmed && save(), this.#refreshMs).unref();
		return async () => {
			clearInterval(timer);
			await tables.settled();
			stop();
			await disk;
		};
	}

	async #save<Compiled>(tables: Tables<Compiled>): Promise<void> {
		const given = tables.newest;
		const confirmedAtMs = Math.round(this.#clock.wallMs() - tables.ageMs());
		// Without a known time of confirmation the table is useless after a restart.
		if (given === null || !Number.isSafeInteger(confirmedAtMs)) return;
		if (this.#body?.version !== given.version) {
			const text = `{"format":${FORMAT},"version":${JSON.stringify(given.version)},"table":${tableJson(given.table)}`;
			this.#body = { version: given.version, text };
		}
		try {
			await replacePrivate(this.path, `${this.#body.text},"confirmedAtMs":${confirmedAtMs}}\n`);
			this.#onDisk = given.version;
			this.#failing = false;
		} catch (error) {
			if (!this.#failing) this.#warn("the last good table cannot be kept on disk", error);
			this.#failing = true;
			if (this.#onDisk !== given.version) await this.#remove();
		}
	}

	async #remove(): Promise<void> {
		this.#onDisk = null;
		try {
			await this.#removing(this.path);
		} catch (error) {
			this.#warn("the table before cannot be taken from disk: a restart may answer by it", error);
		}
	}

	#warn(what: string, error: unknown): void {
		this.#log.warn(what, { path: this.path, why: error instanceof Error ? error.message : String(error) });
	}
}

/** @returns null if there is no file. A file that other users can write is refused. */
async function readPrivate(path: string): Promise<string | null> {
	// O_NONBLOCK: a pipe must not block the start.
	const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: NodeJS.ErrnoException) => {
		if (error.code === "ENOENT") return null;
		throw new WeirError("unavailable", `it cannot be opened: ${error.code}`, "", { cause: error });
	});
	if (handle === null) return null;
	try {
		const found = await handle.stat();
		if (!found.isFile()) throw new WeirError("invalid-argument", "it is no file");
		if (found.size > TABLE_FILE_BYTES_MAX) throw new WeirError("resource-exhausted", `it has ${found.size} bytes`);
		if (othersCanWrite(found)) throw new WeirError("permission-denied", "others can write it");
		return await handle.readFile("utf8");
	} finally {
		await handle.close();
	}
}
