/** What came after its unit's due time: it changes nothing any more, and a person should know how much it is. */
import { DUE, EVENT_IN_WINDOW, IN_WINDOW, OF_EXPERIMENT } from "./closing.js";
import { COUNTERS, type Meter } from "./meter.js";
import type { EventStore, Row, Transaction } from "./store.js";

/** Counts the late rows received in [sinceMs, untilMs), per experiment and metric that was ever closed. */
export function countLate(store: EventStore, sinceMs: number, untilMs: number, meter: Meter): Promise<void> {
	return store.analysis.transaction(async (transaction) => {
		const closings = await transaction.rows("SELECT experiment, metric, source, window_ms, settle_ms FROM closings");
		for (const closing of closings) {
			const late = await lateRows(transaction, closing, sinceMs, untilMs);
			const labels = { experiment: String(closing.experiment), metric: String(closing.metric) };
			if (late > 0) meter.count(COUNTERS.late.name, COUNTERS.late.help, labels, late);
		}
	});
}

async function lateRows(transaction: Transaction, closing: Row, sinceMs: number, untilMs: number): Promise<number> {
	const due = DUE.replaceAll("u.", "d.");
	const parameters = {
		experiment: String(closing.experiment),
		window: BigInt(Number(closing.window_ms)),
		settle: BigInt(Number(closing.settle_ms)),
		since: BigInt(sinceMs),
		until: BigInt(untilMs),
	};
	const [row] =
		closing.source === "outcome"
			? await transaction.rows(
					`SELECT count(*) AS late FROM outcomes o JOIN units d ON o.unit = d.unit
					WHERE d.experiment = $experiment AND o.metric = $metric AND ${OF_EXPERIMENT} AND ${EVENT_IN_WINDOW}
						AND o.received_ms >= $since AND o.received_ms < $until AND o.received_ms > ${due}`,
					{ ...parameters, metric: String(closing.metric) },
				)
			: await transaction.rows(
					`SELECT count(*) AS late FROM entries e JOIN units d ON e.unit = d.unit
					WHERE d.experiment = $experiment AND e.experiment = $experiment AND e.ended AND e.arm IS NOT NULL
						AND ${IN_WINDOW} AND e.received_ms >= $since AND e.received_ms < $until AND e.received_ms > ${due}`,
					parameters,
				);
	return Number(row?.late ?? 0);
}
