/**
 * Room in the decision log. Where there is too much, what goes is of whoever holds the most: the namespace of a Service, or
 * all that names no Service together, so that nobody's flood pushes out what another has. What went before its time is
 * counted and told, to each reader of what they may read.
 */
import { DROPPED_TOLD_MAX } from "../../limits.js";
import type { Parameters, Row, Transaction } from "../store/store.js";
import type { ReadNamespaces } from "./readNamespaces.js";

export type RoomTable = "decisions" | "shadows";

/** In the order of which rows came, and the time by which they are asked for. */
const COLUMNS: Readonly<Record<RoomTable, { readonly place: string; readonly time: string }>> = {
	decisions: { place: "id", time: "at_ms" },
	shadows: { place: "received_ms", time: "received_ms" },
};

/** SQL: a Service's namespace by its qualified name, as namespaceOf has it; of none that is null. */
export const NAMESPACE =
	"CASE WHEN contains(service, '/') THEN split_part(service, '/', 1) WHEN service <> '' THEN 'default' END";
const HOLDER = `coalesce(${NAMESPACE}, '')`;

/** What some holder lost for want of room. */
export interface DroppedForRoom {
	/** null = records that name no Service. */
	readonly namespace: string | null;
	readonly records: number;
	/** Epoch milliseconds: of what happened from then on, none was dropped. */
	readonly wholeSinceMs: number;
}

/**
 * Leaves at most so many rows: each holder keeps its newest ones up to a level, that of all being the highest that fits. What
 * cannot be divided is kept of those who were heard of last.
 * @returns rows that were dropped
 */
export async function dropForRoom(transaction: Transaction, table: RoomTable, rowsMax: number): Promise<number> {
	const [held] = await transaction.rows(`SELECT count(*) AS n FROM ${table}`);
	if (Number(held?.n ?? 0) <= rowsMax) return 0;
	const { place, time } = COLUMNS[table];
	// One window over the rows of those alone who lose some. rank(): rows of one place go together.
	await transaction.run(`CREATE OR REPLACE TEMP TABLE room_cuts AS WITH
		holders AS (SELECT ${HOLDER} AS namespace, sum(n)::BIGINT AS n, max(newest) AS newest
			FROM (SELECT service, count(*) AS n, max(${place}) AS newest FROM ${table} GROUP BY service) GROUP BY ${HOLDER}),
		filling AS (SELECT n, coalesce(sum(n) OVER (least ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)::BIGINT AS below,
			count(*) OVER () - row_number() OVER least + 1 AS above FROM holders WINDOW least AS (ORDER BY n, namespace)),
		level AS (SELECT (${rowsMax} - below) // above AS level, (${rowsMax} - below) % above AS rest
			FROM filling WHERE below + n * above > ${rowsMax} ORDER BY below LIMIT 1),
		losers AS (SELECT namespace,
			n - level - (row_number() OVER (ORDER BY newest DESC, namespace) <= rest)::INTEGER AS excess
			FROM holders, level WHERE n > level),
		ranked AS (SELECT namespace, excess, place, at_ms, rank() OVER (PARTITION BY namespace ORDER BY place) AS rank
			FROM (SELECT ${HOLDER} AS namespace, ${place} AS place, ${time} AS at_ms FROM ${table}) JOIN losers USING (namespace))
		SELECT namespace, count(*) AS records, max(at_ms) + 1 AS whole_since_ms, max(place) AS place
			FROM ranked WHERE rank <= excess GROUP BY namespace`);
	await transaction.run(`INSERT INTO room_drops SELECT '${table}', namespace, records, whole_since_ms FROM room_cuts
		ON CONFLICT (kind, namespace) DO UPDATE SET records = records + excluded.records,
			whole_since_ms = greatest(whole_since_ms, excluded.whole_since_ms)`);
	const [dropped] = await transaction.rows(`DELETE FROM ${table} USING room_cuts c
		WHERE c.namespace = ${HOLDER} AND ${table}.${place} <= c.place`);
	return Number(dropped?.Count ?? 0);
}

/** Forgets what was dropped of before that time, of which nothing is kept any more. In a transaction of its own. */
export async function forgetDropped(transaction: Transaction, beforeMs: number): Promise<void> {
	await transaction.run("DELETE FROM room_drops WHERE whole_since_ms <= $before", { before: BigInt(beforeMs) });
}

/** What a question is of; null = whatever it is. */
export interface RoomQuestion {
	readonly namespaces: ReadNamespaces;
	readonly namespace: string | null;
	readonly sinceMs: number | null;
}

/** Of what the question is of, and only of that; those who lost something last come first. */
export async function droppedForRoom(
	transaction: Transaction,
	table: RoomTable,
	{ namespaces, namespace, sinceMs }: RoomQuestion,
): Promise<readonly DroppedForRoom[]> {
	const where = [`kind = '${table}'`];
	const parameters: Parameters = {};
	if (namespaces !== null) {
		where.push("list_contains(string_split($namespaces, ','), namespace)");
		parameters.namespaces = namespaces.join(",");
	}
	if (namespace !== null) {
		where.push("namespace = $namespace");
		parameters.namespace = namespace;
	}
	if (sinceMs !== null) {
		where.push("whole_since_ms > $since");
		parameters.since = BigInt(sinceMs);
	}
	const rows = await transaction.rows(
		`SELECT * FROM room_drops WHERE ${where.join(" AND ")} ORDER BY whole_since_ms DESC, namespace LIMIT ${DROPPED_TOLD_MAX}`,
		parameters,
	);
	return rows.map(told);
}

const told = ({ namespace, records, whole_since_ms }: Row): DroppedForRoom => ({
	namespace: namespace === "" ? null : String(namespace),
	records: Number(records),
	wholeSinceMs: Number(whole_since_ms),
});
