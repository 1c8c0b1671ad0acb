/**
 * The latency quantile that a threshold is frozen from: the default Variant, outside every challenger arm. A stall
 * or a cold start fills one stretch of time with slow requests and would set the quantile of the whole; so it is
 * taken in CHUNKS consecutive stretches of equally many requests, and the median of those counts.
 */
import type { BaselineQuantile } from "../analysis/evidence.js";
import type { EvidenceSource } from "../rollout/ports.js";
import type { EventStore } from "./store.js";
import { unitQuantile } from "./unitQuantile.js";

export type BaselineQuery = Parameters<EvidenceSource["baselineQuantile"]>[0];

const CHUNKS = 5;

/** Each stretch's quantile is exact, interpolated (R type 7), over requests whose end came in [sinceMs, untilMs); null while there is none. */
export function baselineQuantile(store: EventStore, query: BaselineQuery): Promise<BaselineQuantile | null> {
	if (query.valuesOf !== undefined) return unitQuantile(store, query, query.valuesOf);
	return store.analysis.transaction(async (transaction) => {
		const [row] = await transaction.rows(
			`WITH earlier AS (
				SELECT duration_ms, unit, ntile(${CHUNKS}) OVER (ORDER BY received_ms, start_us) AS chunk FROM entries
				WHERE service = $service AND ended AND reference AND received_ms >= $since AND received_ms < $until)
			SELECT (SELECT median(value) FROM (SELECT quantile_cont(duration_ms, ${Number(query.quantile)}) AS value
					FROM earlier GROUP BY chunk)) AS value,
				count(*) AS requests, count(DISTINCT unit) AS units FROM earlier`,
			{ service: query.service, since: BigInt(query.sinceMs), until: BigInt(query.untilMs) },
		);
		if (row === undefined || row.value === null) return null;
		return { valueMs: Number(row.value), requests: Number(row.requests), units: Number(row.units) };
	});
}
