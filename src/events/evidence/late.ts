/** What came after its unit's due time: it changes nothing any more, and a person should know how much it is. */

import { COUNTERS, type Meter } from "../meter.js";
import type { EventStore, Row, Transaction } from "../store/store.js";
import { eventInWindow, inWindow, OF_EXPERIMENT } from "./closing.js";
import { dueMs, type Times } from "./eras.js";

/** Counts the late rows received in [sinceMs, untilMs), per experiment and metric that was ever closed. */
export function countLate(store: EventStore, sinceMs: number, untilMs: number, meter: Meter): Promise<void> {
	return store.analysis.transaction(async (transaction) => {
		// A quantile's further parts, whose names have a space (rollout/gridEvidence.ts), are of the same rows as its first.
		const eras = await transaction.rows(
			`SELECT experiment, metric, source, arg_max(times, era) AS times FROM eras
			WHERE source IS NOT NULL AND NOT contains(metric, ' ') GROUP BY ALL`,
		);
		for (const era of eras) {
			if (era.times === null) continue;
			const late = await lateRows(transaction, era, sinceMs, untilMs);
			const labels = { experiment: String(era.experiment), metric: String(era.metric) };
			if (late > 0) meter.count(COUNTERS.late.name, COUNTERS.late.help, labels, late);
		}
	});
}

async function lateRows(transaction: Transaction, era: Row, sinceMs: number, untilMs: number): Promise<number> {
	const times = JSON.parse(String(era.times)) as Times[];
	const due = dueMs(times, "d");
	const windowMs = times[0]?.[0] ?? 0;
	const parameters = { experiment: String(era.experiment), since: BigInt(sinceMs), until: BigInt(untilMs) };
	const [row] =
		era.source === "outcome"
			? await transaction.rows(
					`SELECT count(*) AS late FROM outcomes o JOIN units d ON o.unit = d.unit
					WHERE d.experiment = $experiment AND o.metric = $metric AND ${OF_EXPERIMENT} AND ${eventInWindow(windowMs)}
						AND o.received_ms >= $since AND o.received_ms < $until AND o.received_ms > ${due}`,
					{ ...parameters, metric: String(era.metric) },
				)
			: await transaction.rows(
					`SELECT count(*) AS late FROM entries e JOIN units d ON e.unit = d.unit
					WHERE d.experiment = $experiment AND e.experiment = $experiment AND e.ended AND e.arm IS NOT NULL
						AND ${inWindow(windowMs)} AND e.received_ms >= $since AND e.received_ms < $until AND e.received_ms > ${due}`,
					parameters,
				);
	return Number(row?.late ?? 0);
}
