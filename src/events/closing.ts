/**
 * Closing: a unit's observation is made once, when its window and the settling time are over, and never changes.
 * All of it is one set operation per metric over the units that fell due since the last closing.
 *
 * due = max(first exposure + window, its arrival) + settle. Only what was received by then counts, whenever the
 * closing itself runs: a restart or a slow query cannot let one arm's late rows in.
 */
import type { EvidenceMetric } from "../analysis/evidence.js";
import { CLOSING_SLACK_MS } from "../limits.js";
import type { Transaction } from "./store.js";

/** When the observation of a row of `units u` falls due; $window and $settle are milliseconds. */
export const DUE = "(greatest(u.first_ms + $window, u.received_ms) + $settle)";

/** Requests and outcomes of unit d that lie in its window. */
export const IN_WINDOW = "e.start_us BETWEEN d.first_ms * 1000 AND (d.first_ms + $window) * 1000 + 999";
export const EVENT_IN_WINDOW = "o.event_ms BETWEEN d.first_ms AND d.first_ms + $window";
export const OF_EXPERIMENT = "(o.experiment IS NULL OR o.experiment = $experiment)";

type Threshold = Exclude<EvidenceMetric["threshold"], "unfrozen">;

/** The threshold that slow requests are counted by; null = none yet, or none at all. */
export function frozenThreshold({ threshold }: EvidenceMetric): Threshold {
	return threshold === "unfrozen" ? null : threshold;
}

interface Closing {
	readonly experiment: string;
	readonly metric: EvidenceMetric;
	readonly nowMs: number;
	/** When this metric was last closed with these times; null = never. */
	readonly formerMs: number | null;
}

/** Makes every observation of the experiment that is due before `nowMs`. */
export async function closeDue(
	transaction: Transaction,
	experiment: string,
	metrics: readonly EvidenceMetric[],
	nowMs: number,
): Promise<void> {
	const formers = await transaction.rows(
		"SELECT metric, window_ms, settle_ms, as_of_ms FROM closings WHERE experiment = $experiment",
		{ experiment },
	);
	for (const metric of metrics) {
		// Without a threshold there is nothing to observe yet; units exposed meanwhile are never observed.
		if (metric.source === "latency" && frozenThreshold(metric) === null) continue;
		const { name, source, windowMs, settleMs } = metric;
		const former = formers.find((row) => row.metric === name);
		// Other times than before (an edited Metric) start from the beginning, and so do the former ones if they return.
		const same = Number(former?.window_ms) === windowMs && Number(former?.settle_ms) === settleMs;
		const formerMs = former !== undefined && same ? Number(former.as_of_ms) : null;
		await close(transaction, { experiment, metric, nowMs, formerMs });
		await transaction.run(
			"INSERT OR REPLACE INTO closings VALUES ($experiment, $name, $source, $window, $settle, $now)",
			{ experiment, name, source, window: BigInt(windowMs), settle: BigInt(settleMs), now: BigInt(nowMs) },
		);
	}
}

async function close(transaction: Transaction, closing: Closing): Promise<void> {
	const { experiment, metric, nowMs, formerMs } = closing;
	const sinceMs = formerMs === null ? 0 : Math.min(formerMs, nowMs) - CLOSING_SLACK_MS;
	await transaction.run(
		`CREATE OR REPLACE TEMP TABLE due AS SELECT u.unit, u.arm, u.first_ms, ${DUE} AS due_ms FROM units u
		WHERE u.experiment = $experiment AND ${DUE} < $now AND ${DUE} >= $since AND u.first_ms > $frozen
			AND NOT EXISTS (SELECT 1 FROM observations o WHERE o.experiment = $experiment AND o.metric = $metric
				AND o.due_ms >= $since AND o.unit = u.unit)`,
		{
			experiment,
			metric: metric.name,
			window: BigInt(metric.windowMs),
			settle: BigInt(metric.settleMs),
			now: BigInt(nowMs),
			since: BigInt(sinceMs),
			frozen: BigInt(frozenThreshold(metric)?.frozenAtMs ?? -1),
		},
	);
	const [found] = await transaction.rows("SELECT count(*) AS units, min(first_ms) AS first_ms FROM due");
	if (Number(found?.units ?? 0) > 0) await observe(transaction, closing, BigInt(Number(found?.first_ms)));
}

async function observe(transaction: Transaction, closing: Closing, firstMs: bigint): Promise<void> {
	const { experiment, metric } = closing;
	const window = BigInt(metric.windowMs);
	const common = { experiment, metric: metric.name, window, first: firstMs };
	switch (metric.source) {
		case "errors":
			return transaction.run(observeRequests("e.ended AND NOT e.failed"), common);
		case "latency": {
			const threshold = frozenThreshold(metric)?.thresholdMs ?? 0;
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
