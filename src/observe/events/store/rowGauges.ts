/** The number of rows in each table, as a metric. */
import { GAUGES, type Meter } from "../meter.js";
import { TABLES } from "./schema.js";
import type { EventStore } from "./store.js";

/** Refreshes the gauges that need a store query. */
export async function gaugeStore(store: EventStore, meter: Meter): Promise<void> {
	for (const table of TABLES) {
		const [row] = await store.analysis.transaction((transaction) =>
			transaction.rows(`SELECT count(*) AS n FROM ${table}`),
		);
		meter.gauge(GAUGES.rows.name, GAUGES.rows.help, Number(row?.n ?? 0), { table });
	}
}
