/** How many rows the decision log keeps: beyond that the oldest are dropped, counted, and reported with every answer. */
import type { Transaction } from "../store/store.js";

export type RoomTable = "decisions" | "shadows";

/** The order in which rows came, and the time by which they are asked for. */
const COLUMNS: Readonly<Record<RoomTable, { readonly place: string; readonly time: string }>> = {
	decisions: { place: "id", time: "at_ms" },
	shadows: { place: "received_ms", time: "received_ms" },
};

/** SQL: a Service's namespace by its qualified name, as namespaceOf has it; of none that is null. */
export const NAMESPACE =
	"CASE WHEN contains(service, '/') THEN split_part(service, '/', 1) WHEN service <> '' THEN 'default' END";

export interface DroppedForRoom {
	readonly records: number;
	/** Epoch milliseconds: of what happened from then on, none was dropped. */
	readonly wholeSinceMs: number;
}

/**
 * Leaves at most so many rows, the newest.
 * @returns rows that were dropped
 */
export async function dropForRoom(transaction: Transaction, table: RoomTable, rowsMax: number): Promise<number> {
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

/** Forgets what was dropped of before that time, of which nothing is kept any more. In a transaction of its own. */
export async function forgetDropped(transaction: Transaction, beforeMs: number): Promise<void> {
	await transaction.run("DELETE FROM room_drops WHERE whole_since_ms <= $before", { before: BigInt(beforeMs) });
}

/** @param sinceMs what is asked for happened from then on; null = whenever. @returns null: it is whole */
export async function droppedForRoom(
	transaction: Transaction,
	table: RoomTable,
	sinceMs: number | null,
): Promise<DroppedForRoom | null> {
	const [row] = await transaction.rows(`SELECT * FROM room_drops WHERE kind = '${table}'`);
	if (row === undefined || (sinceMs !== null && sinceMs >= Number(row.whole_since_ms))) return null;
	return { records: Number(row.records), wholeSinceMs: Number(row.whole_since_ms) };
}
