/**
 * Closing: a unit's observation is made once, when its window and the settling time are over, and never changes.
 * All of it is one set operation per metric over the units that fell due since the last closing.
 *
 * due = max(first exposure + window, its arrival) + settle. Only what was received by then counts, whenever the
 * closing itself runs: a restart or a slow query cannot let one arm's late rows in.
 */
import type { EvidenceMetric } from "../analysis/evidence.js";
import { CLOSING_SLACK_MS } from "../limits.js";
import { COUNTERS, type Meter } from "./meter.js";
import type { Parameters, Transaction } from "./store.js";

/** When the observation of a row of `units u` falls due; $window and $settle are milliseconds. */
export const DUE = "(greatest(u.first_ms + $window, u.received_ms) + $settle)";

/** Requests and outcomes of unit d that lie in its window. */
const IN_WINDOW = "e.start_us BETWEEN d.first_ms * 1000 AND (d.first_ms + $window) * 1000 + 999";
const EVENT_IN_WINDOW = "o.event_ms BETWEEN d.first_ms AND d.first_ms + $window";
const OF_EXPERIMENT = "(o.experiment IS NULL OR o.experiment = $experiment)";

interface Closing {
	readonly experiment: string;
	readonly metric: EvidenceMetric;
	readonly nowMs: number;
}

/** Makes the observations that are due before `nowMs`. */
export async function closeDue(transaction: Transaction, closing: Closing, meter: Meter): Promise<void> {
	const { experiment, metric, nowMs } = closing;
	// Without a threshold there is nothing to observe yet; units exposed meanwhile are never observed.
	if (metric.source === "latency" && metric.threshold === null) return;
	const scope = { experiment, metric: metric.name };
	const times = { window: BigInt(metric.windowMs), settle: BigInt(metric.settleMs) };
	const formerMs = await lastClosing(transaction, { ...scope, ...times });
	const sinceMs = formerMs === null ? 0 : Math.min(formerMs, nowMs) - CLOSING_SLACK_MS;
	await transaction.run(
		`CREATE OR REPLACE TEMP TABLE due AS SELECT u.unit, u.arm, u.first_ms, ${DUE} AS due_ms FROM units u
		WHERE u.experiment = $experiment AND ${DUE} < $now AND ${DUE} >= $since AND u.first_ms > $frozen
			AND NOT EXISTS (SELECT 1 FROM observations o WHERE o.experiment = $experiment AND o.metric = $metric
				AND o.due_ms >= $since AND o.unit = u.unit)`,
		{
			...scope,
			...times,
			now: BigInt(nowMs),
			since: BigInt(sinceMs),
			frozen: BigInt(metric.threshold?.frozenAtMs ?? -1),
		},
	);
	const [found] = await transaction.rows("SELECT count(*) AS units, min(first_ms) AS first_ms FROM due");
	if (Number(found?.units ?? 0) > 0) await observe(transaction, closing, BigInt(Number(found?.first_ms)));
	if (formerMs !== null && formerMs < nowMs) await countLate(transaction, closing, formerMs, meter);
	// Other times than before (an edited Metric) start from the beginning, and so do the former ones if they return.
	await transaction.run(
		"DELETE FROM closings WHERE experiment = $experiment AND metric = $metric AND (window_ms <> $window OR settle_ms <> $settle)",
		{
			...scope,
			...times,
		},
	);
	await transaction.run(
		`INSERT INTO closings VALUES ($experiment, $metric, $window, $settle, $now)
		ON CONFLICT DO UPDATE SET as_of_ms = excluded.as_of_ms`,
		{ ...scope, ...times, now: BigInt(nowMs) },
	);
}

async function lastClosing(transaction: Transaction, key: Parameters): Promise<number | null> {
	const [row] = await transaction.rows(
		`SELECT as_of_ms FROM closings WHERE experiment = $experiment AND metric = $metric
			AND window_ms = $window AND settle_ms = $settle`,
		key,
	);
	return row === undefined ? null : Number(row.as_of_ms);
}

async function observe(transaction: Transaction, closing: Closing, firstMs: bigint): Promise<void> {
	const { experiment, metric } = closing;
	const window = BigInt(metric.windowMs);
	const common = { experiment, metric: metric.name, window, first: firstMs };
	switch (metric.source) {
		case "errors":
			return transaction.run(observeRequests("e.ended AND NOT e.failed"), common);
		case "latency": {
			const threshold = metric.threshold?.thresholdMs ?? 0;
			return transaction.run(observeRequests("e.ended AND e.duration_ms <= $threshold"), { ...common, threshold });
		}
		case "outcome":
			return transaction.run(observeOutcomes(metric.missing), common);
	}
}

/** The share of a unit's requests without a row that satisfies `good`: no end by the due time is not good. */
function observeRequests(good: string): string {
	return `WITH requests AS (
			SELECT d.unit, e.request, e.start_us, bool_or(${good}) AS good
			FROM entries e JOIN due d ON e.unit = d.unit
			WHERE e.experiment = $experiment AND e.arm IS NOT NULL AND e.start_us >= $first * 1000
				AND ${IN_WINDOW} AND e.received_ms <= d.due_ms
			GROUP BY ALL),
		shares AS (SELECT unit, avg(CASE WHEN good THEN 0.0::DOUBLE ELSE 1.0::DOUBLE END) AS share FROM requests GROUP BY unit)
		INSERT INTO observations
		SELECT $experiment, $metric, d.unit, d.arm, s.share, d.due_ms FROM due d LEFT JOIN shares s ON s.unit = d.unit`;
}

/** The mean of a unit's outcomes, by unit or by the id of one of its requests. */
function observeOutcomes(missing: "exclude" | "zero"): string {
	return `WITH found AS (
			SELECT d.unit, o.value FROM outcomes o JOIN due d ON o.unit = d.unit
			WHERE o.metric = $metric AND ${OF_EXPERIMENT} AND ${EVENT_IN_WINDOW} AND o.received_ms <= d.due_ms
			UNION ALL
			SELECT d.unit, o.value FROM outcomes o
			JOIN (SELECT DISTINCT unit, request FROM entries WHERE experiment = $experiment AND arm IS NOT NULL
				AND start_us >= $first * 1000) r ON o.request = r.request
			JOIN due d ON r.unit = d.unit
			WHERE o.metric = $metric AND ${OF_EXPERIMENT} AND ${EVENT_IN_WINDOW} AND o.received_ms <= d.due_ms),
		means AS (SELECT unit, favg(value) AS mean FROM found GROUP BY unit)
		INSERT INTO observations
		SELECT $experiment, $metric, d.unit, d.arm, ${missing === "zero" ? "coalesce(m.mean, 0)" : "m.mean"}, d.due_ms
		FROM due d LEFT JOIN means m ON m.unit = d.unit`;
}

/** Counts what came after its unit's due time since the last closing. */
async function countLate(transaction: Transaction, closing: Closing, formerMs: number, meter: Meter): Promise<void> {
	const { experiment, metric, nowMs } = closing;
	const parameters = {
		experiment,
		window: BigInt(metric.windowMs),
		settle: BigInt(metric.settleMs),
		former: BigInt(formerMs),
		now: BigInt(nowMs),
	};
	const [row] =
		metric.source === "outcome"
			? await transaction.rows(
					`SELECT count(*) AS late FROM outcomes o JOIN units d ON o.unit = d.unit
					WHERE d.experiment = $experiment AND o.metric = $metric AND ${OF_EXPERIMENT} AND ${EVENT_IN_WINDOW}
						AND o.received_ms >= $former AND o.received_ms < $now AND o.received_ms > ${DUE.replaceAll("u.", "d.")}`,
					{ ...parameters, metric: metric.name },
				)
			: await transaction.rows(
					`SELECT count(*) AS late FROM entries e JOIN units d ON e.unit = d.unit
					WHERE d.experiment = $experiment AND e.experiment = $experiment AND e.ended AND e.arm IS NOT NULL AND ${IN_WINDOW}
						AND e.received_ms >= $former AND e.received_ms < $now AND e.received_ms > ${DUE.replaceAll("u.", "d.")}`,
					parameters,
				);
	const late = Number(row?.late ?? 0);
	if (late > 0) meter.count(COUNTERS.late.name, COUNTERS.late.help, { experiment, metric: metric.name }, late);
}
