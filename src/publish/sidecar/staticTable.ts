/**
 * A table from a file (`weir sidecar --table FILE`, printed by `weir compile --format table`). It needs no control and does
 * not expire. A changed file is reloaded, an invalid one ignored.
 */
import { readFile, stat } from "node:fs/promises";
import { WeirError } from "../../error.js";
import { TABLE_FILE_BYTES_MAX } from "../../limits/index.js";
import { readTable } from "./tableReader.js";
import type { TableLog, Tables, VersionedTable } from "./tables.js";

/** How often the sidecar checks a static table file. */
const TABLE_FILE_POLL_MS = 2_000;

export interface StaticTableOptions<Compiled> {
	readonly path: string;
	readonly tables: Tables<Compiled>;
	readonly log: TableLog;
	readonly pollMs?: number;
}

/**
 * @param path of JSON {version, table}
 * @throws WeirError `not-found`, `resource-exhausted` or `invalid-argument`, with the path in its message
 */
export async function readTableFile(path: string): Promise<VersionedTable> {
	const refuse = (
		code: "not-found" | "resource-exhausted" | "invalid-argument",
		what: string,
		cause?: unknown,
	): never => {
		throw new WeirError(code, `the table ${path} ${what}`, "make it by: weir compile --format table", { cause });
	};
	const found = await stat(path).catch((error: unknown) => refuse("not-found", "cannot be read", error));
	if (!found.isFile()) refuse("invalid-argument", "is no file");
	if (found.size > TABLE_FILE_BYTES_MAX)
		refuse("resource-exhausted", `has ${found.size} bytes, more than ${TABLE_FILE_BYTES_MAX}`);
	const text = await readFile(path, "utf8").catch((error: unknown) => refuse("not-found", "cannot be read", error));
	// An error instead of closed Services: the operator can correct the file.
	const whole = (given: VersionedTable): VersionedTable =>
		given.closed?.[0] === undefined ? given : refuse("invalid-argument", `is refused: ${given.closed[0].why}`);
	let value: Readonly<Record<string, unknown>> | null;
	try {
		value = JSON.parse(text);
	} catch (error) {
		return refuse("invalid-argument", "is not JSON", error);
	}
	const keys = typeof value === "object" && value !== null ? Object.keys(value).sort().join() : "";
	const version = value?.version;
	if (keys !== "table,version" || typeof version !== "string") {
		return refuse("invalid-argument", "is not {version, table}");
	}
	let read: VersionedTable;
	try {
		read = readTable(version, JSON.stringify(value?.table) ?? "");
	} catch (error) {
		return refuse("invalid-argument", `is refused: ${WeirError.from(error).message}`, error);
	}
	return whole(read);
}

/**
 * Makes the file's table the newest, again after each change of the file.
 * @throws as readTableFile and the tables' compile, if the first table is invalid
 */
export async function followTableFile<Compiled>({
	path,
	tables,
	log,
	pollMs = TABLE_FILE_POLL_MS,
}: StaticTableOptions<Compiled>): Promise<{ close(): void }> {
	let seen = await signature(path);
	await tables.take(await readTableFile(path));
	tables.confirm();
	let looking = false;
	let closed = false;

	const look = async (): Promise<void> => {
		if (looking) return;
		looking = true;
		const now = await signature(path);
		if (now !== seen) await take();
		seen = now;
		looking = false;
	};
	const take = async (): Promise<void> => {
		try {
			const given = await readTableFile(path);
			if (closed || given.version === tables.newest?.version) return;
			await tables.take(given);
			log.info("the file's new table is served", { version: given.version });
		} catch (error) {
			const why = error instanceof WeirError ? error.message : "its table cannot be compiled";
			log.warn("the table's file is bad, the last good table stays", { why });
		}
	};

	const timer = setInterval(() => void look(), pollMs).unref();
	return {
		close: () => {
			closed = true;
			clearInterval(timer);
		},
	};
}

/** Changes with the file; constant while it is missing. */
async function signature(path: string): Promise<string> {
	const found = await stat(path, { bigint: true }).catch(() => null);
	return found === null ? "missing" : `${found.ino}:${found.size}:${found.mtimeNs}:${found.ctimeNs}`;
}
