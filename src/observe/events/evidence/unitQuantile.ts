/**
 * The quantile of unit values at which a metric's cap is fixed, over all arms pooled, so that the cap favours no arm. It uses
 * units whose window was over before the query. The analysis excludes them later (eras.ts), so their values are not stored.
 */
import type { BaselineQuantile, EvidenceMetric } from "../../../infer/statistics/evidence.js";
import type { EventStore } from "../store/store.js";
import { unitValues } from "./aggregateSql.js";
import { outcomeSums, unconflicted, wantedOf } from "./closing.js";
import { dueMs, whole } from "./eras.js";

/**
 * Excludes units older than the oldest kept outcome: their outcomes may have been removed by age or number
 * (retention.ts). Counted as zero, they would lower the cap, even to 0. All outcomes of newer units are kept, and whether a
 * unit is included does not depend on its values.
 */
const OUTCOMES_KEPT = "u.received_ms >= (SELECT min(received_ms) FROM outcomes WHERE metric = $metric)";

/** Stands in for a series number: these values are computed and not stored. */
const NO_SERIES = -1;

interface UnitQuantileQuery {
	readonly experiment: string;
	readonly service: string;
	readonly quantile: number;
	readonly untilMs: number;
}

/**
 * Exact, interpolated (R type 7), before any cap; null without values. `requests` is the number of units, and `valueMs` has
 * the metric's own unit.
 */
export function unitQuantile(
	store: EventStore,
	{ experiment, service, quantile, untilMs }: UnitQuantileQuery,
	metric: EvidenceMetric,
): Promise<BaselineQuantile | null> {
	return store.analysis.transaction(async (transaction) => {
		const { windowMs, settleMs, missing } = metric;
		const due = dueMs([[windowMs, settleMs]]);
		await transaction.run(
			`CREATE OR REPLACE TEMP TABLE all_due AS SELECT u.ordinal, u.unit, u.arm, u.first_ms, ${due} AS due_ms FROM units u
			WHERE u.experiment = $experiment AND ${due} < ${whole(untilMs)} AND ${OUTCOMES_KEPT} AND ${unconflicted("u")}`,
			{ experiment, metric: metric.name },
		);
		await transaction.run("CREATE OR REPLACE TEMP VIEW due AS FROM all_due");
		const [span] = await transaction.rows("SELECT min(first_ms) AS from_ms, max(first_ms) AS to_ms FROM due");
		if (span === undefined || span.from_ms === null) return null;
		const wanted = [wantedOf(NO_SERIES, { ...metric, cap: null, covariateMs: null, denominator: null })];
		const toMs = Number(span.to_ms) + windowMs;
		const batch = { experiment, service, nowMs: untilMs, windowMs, fromMs: Number(span.from_ms), toMs };
		const sums = await outcomeSums(transaction, batch, wanted);
		const [row] = await transaction.rows(
			`WITH sums AS (${sums}), found AS (${unitValues(wanted, "sums")}),
				units AS (SELECT ${missing === "zero" ? "coalesce(f.x0, 0)" : "f.x0"} AS value FROM due LEFT JOIN found f USING (ordinal))
			SELECT quantile_cont(value, ${Number(quantile)}) AS value, count(value) AS units FROM units`,
		);
		if (row === undefined || row.value === null) return null;
		return { valueMs: Number(row.value), requests: Number(row.units), units: Number(row.units) };
	});
}
