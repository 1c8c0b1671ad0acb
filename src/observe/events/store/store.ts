/**
 * The event store: one DuckDB file with its write-ahead log, owned by this process alone. A commit is on disk
 * when it returns (DuckDB syncs the log), so committed data survives kill -9.
 *
 * Each of the five lanes has its own connection and runs one transaction at a time; no two lanes write one table. So
 * outcomes, access-log batches, evidence, the access record log and readers do not block each other.
 */
import { chmodSync, existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { DuckDBAppender, DuckDBConnection, DuckDBValue } from "@duckdb/node-api";

// Not by `import`: Node would parse all 180 files again to find export names, 0.2 s of each start.
import duckdb = require("@duckdb/node-api");

import { WeirError } from "../../../error.js";
import { loadPseudonyms, type Pseudonyms } from "./pseudonym.js";
import { SCHEMA, SCHEMA_VERSION } from "./schema.js";

/** Memory of the event store's engine; beyond it DuckDB spills to its temporary folder. */
const EVENTS_MEMORY_MB = 1_024;

export type Row = Readonly<Record<string, unknown>>;
export type Parameters = Record<string, DuckDBValue>;

/** One connection, one transaction at a time. */
export class Lane {
	#tail: Promise<unknown> = Promise.resolve();
	readonly #appenders = new Map<string, DuckDBAppender>();

	constructor(
		private readonly connection: DuckDBConnection,
		private readonly begin: "BEGIN TRANSACTION" | "BEGIN TRANSACTION READ ONLY" = "BEGIN TRANSACTION",
	) {}

	/** Runs `work` in its own transaction, after earlier ones; rolled back if it throws. */
	transaction<Result>(work: (transaction: Transaction) => Promise<Result>): Promise<Result> {
		const run = this.#tail.then(async () => {
			await this.connection.run(this.begin);
			try {
				const result = await work(new Transaction(this.connection, this.#appenders));
				await this.connection.run("COMMIT");
				return result;
			} catch (thrown) {
				// A failed appender keeps its rows and would add them to the next transaction.
				for (const appender of this.#appenders.values()) appender.clear();
				this.#appenders.clear();
				await this.connection.run("ROLLBACK").catch(() => undefined);
				throw thrown;
			}
		});
		this.#tail = run.catch(() => undefined);
		return run;
	}

	/** Closes the connection when nothing runs. */
	async close(): Promise<void> {
		await this.#tail;
		for (const appender of this.#appenders.values()) appender.closeSync();
		this.#appenders.clear();
		this.connection.closeSync();
	}
}

export class Transaction {
	constructor(
		private readonly connection: DuckDBConnection,
		private readonly appenders: Map<string, DuckDBAppender>,
	) {}

	async run(sql: string, parameters: Parameters = {}): Promise<void> {
		await this.connection.run(sql, parameters);
	}

	/** Rows with plain numbers if exact, bigints for 128-bit columns. */
	async rows(sql: string, parameters: Parameters = {}): Promise<readonly Row[]> {
		const reader = await this.connection.runAndReadAll(sql, parameters);
		return reader.getRowObjects();
	}

	/** The same as a stream, to keep only part of millions of rows in memory. */
	async each(sql: string, parameters: Parameters, take: (row: Row) => void): Promise<void> {
		const result = await this.connection.stream(sql, parameters);
		for await (const rows of result.yieldRowObjects()) for (const row of rows) take(row);
	}

	/** Appends rows to a table in bulk; `put` writes one row's values in column order, without endRow. */
	async append<Item>(table: string, items: readonly Item[], put: Put<Item>): Promise<void> {
		if (items.length === 0) return;
		let appender = this.appenders.get(table);
		if (appender === undefined) {
			appender = await this.connection.createAppender(table);
			this.appenders.set(table, appender);
		}
		fill(appender, items, put);
	}

	/** The same for a table created in this transaction: an appender is bound to its table. */
	async appendFresh<Item>(table: string, items: readonly Item[], put: Put<Item>): Promise<void> {
		const appender = await this.connection.createAppender(table);
		try {
			fill(appender, items, put);
		} catch (thrown) {
			// Discarded like the lane's appenders.
			appender.clear();
			throw thrown;
		}
		appender.closeSync();
	}
}

type Put<Item> = (to: DuckDBAppender, item: Item) => void;

function fill<Item>(appender: DuckDBAppender, items: readonly Item[], put: Put<Item>): void {
	for (const item of items) {
		put(appender, item);
		appender.endRow();
	}
	appender.flushSync();
}

export interface EventStore {
	readonly path: string;
	readonly pseudonyms: Pseudonyms;
	readonly entries: Lane;
	readonly outcomes: Lane;
	readonly analysis: Lane;
	readonly accessRecords: Lane;
	/** Read-only queries; many may run. */
	readonly questions: Lane;
	/** Waits for the lanes, writes a checkpoint and closes the file. */
	close(): Promise<void>;
}

/**
 * Opens or creates `events.duckdb` and `unit.key` (0600) in the directory (0700); from then on this process creates files
 * readable by its user only. Throws `failed-precondition` if another process holds the file, its version differs, or it was
 * written under another unit key.
 */
export async function openEventStore(directory: string): Promise<EventStore> {
	mkdirSync(directory, { recursive: true, mode: 0o700 });
	const path = join(directory, "events.duckdb");
	// DuckDB takes the file mode from the umask, also each time it recreates the .wal.
	process.umask(0o077);
	for (const file of [path, `${path}.wal`]) if (existsSync(file)) chmodSync(file, 0o600);
	const instance = await openInstance(path);
	try {
		const first = await instance.connect();
		const pseudonyms = await prepare(first, path, join(directory, "unit.key"));
		const lanes = {
			entries: new Lane(first),
			outcomes: new Lane(await instance.connect()),
			analysis: new Lane(await instance.connect()),
			accessRecords: new Lane(await instance.connect()),
			questions: new Lane(await instance.connect(), "BEGIN TRANSACTION READ ONLY"),
		};
		return {
			path,
			pseudonyms,
			...lanes,
			async close() {
				const { entries, ...others } = lanes;
				await Promise.all(Object.values(others).map((lane) => lane.close()));
				await entries.close();
				const last = await instance.connect();
				await last.run("CHECKPOINT");
				last.closeSync();
				instance.closeSync();
			},
		};
	} catch (thrown) {
		instance.closeSync();
		throw thrown;
	}
}

async function openInstance(path: string): Promise<duckdb.DuckDBInstance> {
	try {
		return await duckdb.DuckDBInstance.create(path, { threads: "2", memory_limit: `${EVENTS_MEMORY_MB}MB` });
	} catch (thrown) {
		const message = thrown instanceof Error ? thrown.message : String(thrown);
		const holder = /PID (\d+)/.exec(message)?.[1];
		if (/lock/i.test(message)) {
			throw new WeirError(
				"failed-precondition",
				`the event store ${path} is held by another process${holder === undefined ? "" : ` (PID ${holder})`}`,
				"only one ingest may own it: stop the other one, or give this one its own data directory",
				{ cause: thrown },
			);
		}
		throw new WeirError(
			"failed-precondition",
			`the event store ${path} cannot be opened: ${message.replaceAll(/\s+/g, " ")}`,
			"if the file is damaged, restore a copy, or move it away to start without recorded events",
			{ cause: thrown },
		);
	}
}

/** When an entry was last received before this opening. */
const NOTE_OPENING =
	"INSERT INTO openings SELECT max(received_ms) FROM entries HAVING max(received_ms) IS NOT NULL ON CONFLICT DO NOTHING";

async function prepare(connection: DuckDBConnection, path: string, keyPath: string): Promise<Pseudonyms> {
	const meta = new Map<string, string>();
	const tables = await connection.runAndReadAll("SELECT 1 FROM duckdb_tables() WHERE table_name = 'meta'");
	if (tables.currentRowCount > 0) {
		const reader = await connection.runAndReadAll("SELECT key, value FROM meta");
		for (const row of reader.getRowObjects()) meta.set(String(row.key), String(row.value));
	}
	const version = Number(meta.get("schema") ?? SCHEMA_VERSION);
	if (version !== SCHEMA_VERSION) {
		throw new WeirError(
			"failed-precondition",
			`the event store ${path} is of version ${version}, and this Weir reads version ${SCHEMA_VERSION}`,
			"delete it, or use the Weir that made it",
		);
	}
	const pseudonyms = loadPseudonyms(keyPath, !meta.has("unit-key"));
	if ((meta.get("unit-key") ?? pseudonyms.fingerprint) !== pseudonyms.fingerprint) {
		throw new WeirError(
			"failed-precondition",
			`the unit key ${keyPath} is not the one that ${path} was written with`,
			"restore that key file; with another key no unit would be recognised",
		);
	}
	await connection.run("BEGIN TRANSACTION");
	await connection.run(SCHEMA);
	await connection.run(NOTE_OPENING);
	for (const [key, value] of [
		["schema", String(SCHEMA_VERSION)],
		["unit-key", pseudonyms.fingerprint],
	] as const) {
		await connection.run("INSERT INTO meta VALUES ($key, $value) ON CONFLICT DO NOTHING", { key, value });
	}
	await connection.run("COMMIT");
	return pseudonyms;
}
