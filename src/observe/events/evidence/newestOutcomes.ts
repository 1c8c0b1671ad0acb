/** Time of a metric's newest outcome, which shows senders that have stopped. Reads new rows only. */

import { text } from "../store/sql.js";
import type { Transaction } from "../store/store.js";
import { whole } from "./eras.js";

/** Overlap of a query for newer outcomes: a row has its arrival time and is visible only after its commit. */
const NEWEST_OUTCOME_SLACK_MS = 10 * 60 * 1000;

/** Epoch milliseconds by metric, only for metrics that have outcomes, including removed ones. */
export async function newestOutcomes(
	transaction: Transaction,
	metrics: readonly string[],
	nowMs: number,
): Promise<Record<string, number>> {
	if (metrics.length === 0) return {};
	const list = metrics.map(text).join(", ");
	const known = await transaction.rows(`FROM newest_outcomes WHERE metric IN (${list})`);
	const looked = known.length < metrics.length ? [0] : known.map(({ as_of_ms }) => Number(as_of_ms));
	const sinceMs = Math.min(nowMs, ...looked) - NEWEST_OUTCOME_SLACK_MS;
	const found = await transaction.rows(
		`SELECT metric, max(event_ms) AS event_ms FROM outcomes WHERE metric IN (${list}) AND received_ms >= ${whole(sinceMs)}
		GROUP BY metric`,
	);
	const newest: Record<string, number> = {};
	for (const metric of metrics) {
		const times = [...known, ...found].filter((row) => row.metric === metric).map(({ event_ms }) => Number(event_ms));
		if (times.length > 0) newest[metric] = Math.max(...times);
	}
	const rows = Object.entries(newest).map(([metric, ms]) => `(${text(metric)}, ${ms}, ${whole(nowMs)})`);
	if (rows.length === 0) return {};
	// Storing it only saves reading some rows, so not at every look, and never without an outcome.
	const same =
		known.length === rows.length && known.every(({ metric, event_ms }) => newest[String(metric)] === Number(event_ms));
	const near = known.length < metrics.length || nowMs - sinceMs < 2 * NEWEST_OUTCOME_SLACK_MS;
	if (same && near) return newest;
	await transaction.run(`DELETE FROM newest_outcomes WHERE metric IN (${list})`);
	await transaction.run(`INSERT INTO newest_outcomes VALUES ${rows.join(", ")}`);
	return newest;
}
