/** Row limits of the access record log: the oldest rows above the limit are dropped, counted, and reported with every answer. */
import type { Transaction } from "./store.js";

export type LimitedTable = "decisions" | "shadows";

/** The columns of insertion order and of the queried time. */
const COLUMNS: Readonly<Record<LimitedTable, { readonly place: string; readonly time: string }>> = {
	decisions: { place: "id", time: "at_ms" },
	shadows: { place: "received_ms", time: "received_ms" },
};

/** SQL: a Service's namespace from its qualified name, like namespaceOf; null without a Service. */
export const NAMESPACE =
	"CASE WHEN contains(service, '/') THEN split_part(service, '/', 1) WHEN service <> '' THEN 'default' END";

export interface DroppedRows {
	readonly records: number;
	/** Epoch milliseconds: nothing was dropped from this time on. */
	readonly wholeSinceMs: number;
}

/**
 * Keeps the newest `rowsMax` rows.
 * @returns the number of dropped rows
 */
export async function dropAboveLimit(transaction: Transaction, table: LimitedTable, rowsMax: number): Promise<number> {
	const { place, time } = COLUMNS[table];
	const [newest] = await transaction.rows(
		`SELECT ${place} AS place FROM ${table} ORDER BY ${place} DESC LIMIT 1 OFFSET ${rowsMax}`,
	);
	if (newest === undefined) return 0;
	const dropped = `FROM ${table} WHERE ${place} <= ${Number(newest.place)}`;
	await transaction.run(`INSERT INTO room_drops SELECT '${table}', count(*), max(${time}) + 1 ${dropped}
		ON CONFLICT (kind) DO UPDATE SET records = records + excluded.records,
			whole_since_ms = greatest(whole_since_ms, excluded.whole_since_ms)`);
	const [deleted] = await transaction.rows(`DELETE ${dropped}`);
	return Number(deleted?.Count ?? 0);
}

/** Deletes drop counts of times from which no rows are kept any more. Needs its own transaction. */
export async function forgetDropped(transaction: Transaction, beforeMs: number): Promise<void> {
	await transaction.run("DELETE FROM room_drops WHERE whole_since_ms <= $before", { before: BigInt(beforeMs) });
}

/** @param sinceMs start of the queried time; null = unbounded. @returns null if nothing was dropped from it */
export async function droppedAboveLimit(
	transaction: Transaction,
	table: LimitedTable,
	sinceMs: number | null,
): Promise<DroppedRows | null> {
	const [row] = await transaction.rows(`SELECT * FROM room_drops WHERE kind = '${table}'`);
	if (row === undefined || (sinceMs !== null && sinceMs >= Number(row.whole_since_ms))) return null;
	return { records: Number(row.records), wholeSinceMs: Number(row.whole_since_ms) };
}
