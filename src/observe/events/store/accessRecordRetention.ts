/** How long access records and shadow counts are kept. */
import { COUNTERS, type Meter } from "../meter.js";
import { dropAboveLimit, forgetDropped } from "./rowLimit.js";
import type { EventStore } from "./store.js";

/** Retention of access records, by age and by number (about 200 bytes each on disk); the oldest are dropped first. */
const ACCESS_RECORDS_KEPT_MS = 30 * 24 * 60 * 60 * 1000;
const ACCESS_RECORDS_MAX = 1_000_000;

/** Removes access records and shadow counts that are too old or too many. */
export async function pruneAccessRecords(
	store: EventStore,
	nowMs: number,
	meter: Meter,
	rowsMax: number = ACCESS_RECORDS_MAX,
): Promise<void> {
	const beforeMs = nowMs - ACCESS_RECORDS_KEPT_MS;
	await store.accessRecords.transaction((transaction) => forgetDropped(transaction, beforeMs));
	for (const table of ["decisions", "shadows"] as const) {
		const [rows, dropped] = await store.accessRecords.transaction(async (transaction) => {
			const [old] = await transaction.rows(`DELETE FROM ${table} WHERE received_ms < $before`, {
				before: BigInt(beforeMs),
			});
			return [Number(old?.Count ?? 0), await dropAboveLimit(transaction, table, rowsMax)];
		});
		if (rows > 0) meter.count(COUNTERS.pruned.name, COUNTERS.pruned.help, { table }, rows);
		if (dropped > 0) meter.count(COUNTERS.logFullDrops.name, COUNTERS.logFullDrops.help, { table }, dropped);
	}
}
