/**
 * Of which times the decision log may lack records, told beside every answer: nobody knows whose records they were, so each
 * reader hears of them. It names nobody; which Gateway it was, the records of missingRecords.ts tell those who may read all.
 */
import type { Parameters, Row, Transaction } from "../store/store.js";
import type { MissingReason } from "./missingRecords.js";

export interface MissingTold {
	readonly reason: MissingReason;
	readonly times: number;
	/** Epoch milliseconds: when the first of these times began, and the last was over. */
	readonly fromMs: number;
	readonly untilMs: number;
}

/** Epoch milliseconds; null = whenever. */
export interface Asked {
	readonly sinceMs: number | null;
	readonly untilMs: number | null;
}

/** SQL: when such a record's time was over. */
const OVER = "(at_ms + coalesce(latency_ms, 0))";

/** By reason; what was over last comes first. */
export async function missingTold(
	transaction: Transaction,
	{ sinceMs, untilMs }: Asked,
): Promise<readonly MissingTold[]> {
	const where = ["kind = 'records-missing'"];
	const parameters: Parameters = {};
	if (sinceMs !== null) {
		where.push(`${OVER} >= $since`);
		parameters.since = BigInt(sinceMs);
	}
	if (untilMs !== null) {
		where.push("at_ms < $until");
		parameters.until = BigInt(untilMs);
	}
	const rows = await transaction.rows(
		`SELECT reason, count(*) AS times, min(at_ms) AS from_ms, max(${OVER}) AS until_ms FROM decisions
		WHERE ${where.join(" AND ")} GROUP BY reason ORDER BY until_ms DESC, reason`,
		parameters,
	);
	return rows.map(told);
}

const told = ({ reason, times, from_ms, until_ms }: Row): MissingTold => ({
	reason: String(reason) as MissingReason,
	times: Number(times),
	fromMs: Number(from_ms),
	untilMs: Number(until_ms),
});
