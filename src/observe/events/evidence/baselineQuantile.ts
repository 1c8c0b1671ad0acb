/**
 * The latency quantile from which a threshold is frozen: requests of the default Variant, outside every challenger arm. A
 * stall or a cold start makes one period slow and would dominate the total quantile. So the time is split into CHUNKS
 * periods of equally many requests, and the median of their quantiles is used.
 *
 * It comes with the standard error of the quantile of all requests, clustered by unit.
 */

import type { EvidenceSource } from "../../../decide/rollout/ports.js";
import { isNoEstimate } from "../../../infer/statistics/estimators/estimate.js";
import { bracketOf, quantileLevel } from "../../../infer/statistics/estimators/quantile.js";
import type { BaselineQuantile } from "../../../infer/statistics/evidence.js";
import type { EventStore, Transaction } from "../store/store.js";
import { unitQuantile } from "./unitQuantile.js";

export type BaselineQuery = Parameters<EvidenceSource["baselineQuantile"]>[0];

const CHUNKS = 5;

const EARLIER =
	"FROM entries WHERE service = $service AND ended AND reference AND received_ms >= $since AND received_ms < $until";

const between = ({ service, sinceMs, untilMs }: BaselineQuery) => ({
	service,
	since: BigInt(sinceMs),
	until: BigInt(untilMs),
});

/** Each period's quantile is exact, interpolated (R type 7), over requests ended in [sinceMs, untilMs); null without any. */
export function baselineQuantile(store: EventStore, query: BaselineQuery): Promise<BaselineQuantile | null> {
	if (query.valuesOf !== undefined) return unitQuantile(store, query, query.valuesOf);
	const quantiles = [query.quantile, ...(query.others ?? [])];
	return store.analysis.transaction(async (transaction) => {
		const [row] = await transaction.rows(
			`WITH earlier AS (
				SELECT duration_ms, unit, ntile(${CHUNKS}) OVER (ORDER BY received_ms, start_us) AS chunk ${EARLIER}),
			stretches AS (SELECT quantile_cont(duration_ms, [${quantiles.map(Number).join(", ")}]) AS each FROM earlier GROUP BY chunk)
			SELECT ${quantiles.map((_, i) => `(SELECT median(each[${i + 1}]) FROM stretches) AS v${i}`).join(", ")},
				count(*) AS requests, count(DISTINCT unit) AS units FROM earlier`,
			between(query),
		);
		if (row === undefined || row.v0 === null) return null;
		const requests = Number(row.requests);
		const standardErrorMs = await standardError(transaction, query, requests);
		return {
			valueMs: Number(row.v0),
			...(standardErrorMs === null ? {} : { standardErrorMs }),
			requests,
			units: Number(row.units),
			...(query.others === undefined ? {} : { others: query.others.map((_, i) => Number(row[`v${i + 1}`])) }),
		};
	});
}

/** null if there are too few requests to estimate it. A request without a unit is its own cluster. */
async function standardError(transaction: Transaction, query: BaselineQuery, requests: number): Promise<number | null> {
	const { quantile } = query;
	const bracket = bracketOf(quantile, requests);
	if (bracket === null) return null;
	const [row] = await transaction.rows(
		`WITH earlier AS (SELECT duration_ms, coalesce(unit, request) AS unit ${EARLIER}),
			reading AS (SELECT quantile_cont(duration_ms, ${Number(quantile)}) AS value,
				quantile_cont(duration_ms, ${bracket.lower}) AS lower, quantile_cont(duration_ms, ${bracket.upper}) AS upper FROM earlier),
			clusters AS (SELECT count(*) FILTER (duration_ms <= (SELECT value FROM reading))::DOUBLE AS s, count(*)::DOUBLE AS n
				FROM earlier GROUP BY unit)
		SELECT any_value(value) AS value, any_value(lower) AS lower, any_value(upper) AS upper, count(*) AS units,
			avg(s) AS mean_s, avg(n) AS mean_n, count(*) * var_pop(s) AS ss, count(*) * covar_pop(s, n) AS sn, count(*) * var_pop(n) AS nn
		FROM clusters, reading`,
		between(query),
	);
	if (row === undefined) return null;
	const [value, lower, upper] = [Number(row.value), Number(row.lower), Number(row.upper)];
	const level = quantileLevel(
		{ quantile, value, lower, upper },
		{
			n: Number(row.units),
			means: [Number(row.mean_s), Number(row.mean_n)],
			m2: [Number(row.ss), Number(row.sn), Number(row.nn)],
		},
	);
	return isNoEstimate(level) ? null : Math.sqrt(level.variance);
}
