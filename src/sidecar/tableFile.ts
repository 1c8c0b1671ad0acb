/**
 * The last good table on disk, so that a sidecar that starts while control is away has something to answer by, and
 * knows how old it is. A file that is not whole and unharmed counts as none, and none is there from when somebody may answer by another
 * table until that one is in force (unless the disk refuses even that, which is logged): who is killed then denies, for the one before
 * may have allowed what is denied by now.
 */
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { WeirError } from "../error.js";
import { TABLE_CLOCK_SKEW_MS, TABLE_FILE_BYTES_MAX, TABLE_FILE_REFRESH_MS, TABLE_FILE_SWAP_MS_MAX } from "../limits.js";
import { othersCanWrite, removePrivate, replacePrivate } from "../privateFile.js";
import { within } from "../within.js";
import { type Clock, SYSTEM_CLOCK } from "./clock.js";
import { readTable, tableJson } from "./tableReader.js";
import type { TableLog, Tables, VersionedTable } from "./tables.js";

/** Of the file's form; another one is not read. */
const FORMAT = 1;

const NOTHING: Promise<null> = Promise.resolve(null);
const STAYS_ON_DISK = "the table before cannot be taken from disk: a restart may answer by it";

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
	/** The serialised form of the newest table, all but its time: a refresh costs no serialisation. */
	#body: { readonly version: string; readonly text: string } | null = null;
	/** Of the table that lies there; null = none, or nobody knows. */
	#onDisk: string | null = null;
	/** What lay there at first, for as long as no table has been in force; null = it has not been looked for. */
	#found: Promise<SavedTable | null> | null = null;
	/** Each is told once, until it is over: that nothing can be written must not hide that nothing can be removed. */
	readonly #faults = new Set<string>();

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
	 * Makes the table that lay there at first the newest, as old as it is, where none has been given meanwhile. Whatever is wrong with it
	 * is logged.
	 * @returns whether it did.
	 */
	async restore<Compiled>(tables: Tables<Compiled>): Promise<boolean> {
		const saved = await this.#find();
		if (saved === null || tables.newest !== null || tables.taking) return false;
		const { given, confirmedAtMs } = saved;
		try {
			await tables.take(given, () => {
				const ageMs = this.#clock.wallMs() - confirmedAtMs;
				// From the future: nobody knows how old it is, so it is as old as can be.
				tables.setAge(ageMs < -TABLE_CLOCK_SKEW_MS ? Number.POSITIVE_INFINITY : Math.max(0, ageMs));
				this.#log.info("the last good table is served until control gives one", {
					version: given.version,
					ageMs: tables.ageMs() === Number.POSITIVE_INFINITY ? "unknown" : Math.round(tables.ageMs()),
				});
			});
		} catch (error) {
			this.#ignored(error, "its table cannot be compiled");
			return false;
		}
		return tables.newest === given;
	}

	/** Reads once what lies there: it is known before another table comes into force, and outlives one that is refused. */
	#find(): Promise<SavedTable | null> {
		this.#found ??= this.load().then(
			(saved) => {
				this.#onDisk = saved?.given.version ?? null;
				return saved;
			},
			(error: unknown) => {
				this.#ignored(error, "it cannot be read");
				return null;
			},
		);
		return this.#found;
	}

	/** @param otherwise said where the words are not ours: those may quote it */
	#ignored(error: unknown, otherwise: string): void {
		const why = error instanceof WeirError ? error.message : otherwise;
		this.#log.warn("the file of the last good table is ignored", { path: this.path, why });
	}

	/**
	 * @returns null where there is no file
	 * @throws WeirError for any other reason not to trust it
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
	 * Writes each new table, and now and then that it is still confirmed; one write at a time, the newest wins. What take() is
	 * given is answered by when no other one is on disk.
	 * @returns stops it, after what is being taken, and the last write.
	 */
	follow<Compiled>(tables: Tables<Compiled>): () => Promise<void> {
		let disk: Promise<unknown> = this.#find();
		let due = false;
		let swaps = 0;
		const save = (): void => {
			// What is said in one step (a new table, and that it is confirmed) is one write.
			if (due) return;
			due = true;
			disk = disk.then(() => {
				due = false;
				return swaps > 0 ? undefined : this.#save(tables);
			});
		};
		tables.onSwap(async (version, swap) => {
			let cleared = false;
			swaps++;
			disk = disk.then(async () => {
				if (swaps > 0 && this.#onDisk !== version) await this.#remove();
				cleared = true;
			});
			await within(TABLE_FILE_SWAP_MS_MAX, disk);
			if (!cleared) this.#log.warn("the disk is slow: a restart may answer by the table before", { path: this.path });
			try {
				await swap();
			} finally {
				swaps--;
				// Also where it cannot be compiled: the one before stays.
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
		const saved = await this.#toKeep(tables);
		if (saved === null) return;
		const { given, confirmedAtMs } = saved;
		if (this.#body?.version !== given.version) {
			const text = `{"format":${FORMAT},"version":${JSON.stringify(given.version)},"table":${tableJson(given.table)}`;
			this.#body = { version: given.version, text };
		}
		try {
			await replacePrivate(this.path, `${this.#body.text},"confirmedAtMs":${confirmedAtMs}}\n`);
			this.#onDisk = given.version;
			this.#faults.clear();
		} catch (error) {
			this.#failed("the last good table cannot be kept on disk", error);
			if (this.#onDisk !== given.version) await this.#remove();
		}
	}

	/** @returns null where the disk is to be left as it is */
	async #toKeep<Compiled>(tables: Tables<Compiled>): Promise<SavedTable | null> {
		const given = tables.newest;
		if (given === null) {
			// It was taken from disk for one that has been refused since.
			const found = await this.#find();
			return found?.given.version === this.#onDisk ? null : found;
		}
		this.#found = NOTHING;
		const confirmedAtMs = Math.round(this.#clock.wallMs() - tables.ageMs());
		// Never confirmed, or at an unknown time: nothing to go by after a restart.
		return Number.isSafeInteger(confirmedAtMs) ? { given, confirmedAtMs } : null;
	}

	async #remove(): Promise<void> {
		this.#onDisk = null;
		try {
			await this.#removing(this.path);
			this.#faults.delete(STAYS_ON_DISK);
		} catch (error) {
			this.#failed(STAYS_ON_DISK, error);
		}
	}

	#failed(what: string, error: unknown): void {
		const why = error instanceof Error ? error.message : String(error);
		if (!this.#faults.has(what)) this.#log.warn(what, { path: this.path, why });
		this.#faults.add(what);
	}
}

/** @returns null where nothing is there. A file that others could have written is not read. */
async function readPrivate(path: string): Promise<string | null> {
	// Not blocking: a pipe that lies there must not hold up the start.
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
