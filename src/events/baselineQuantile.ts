/** The latency quantile that a threshold is frozen from: the default Variant, outside every challenger arm. */
import type { BaselineQuantile } from "../analysis/evidence.js";
import type { EvidenceSource } from "../rollout/ports.js";
import type { EventStore } from "./store.js";

export type BaselineQuery = Parameters<EvidenceSource["baselineQuantile"]>[0];

/** Exact, interpolated (R type 7), over requests whose end came in [sinceMs, untilMs); null while there is none. */
export function baselineQuantile(store: EventStore, query: BaselineQuery): Promise<BaselineQuantile | null> {
	return store.analysis.transaction(async (transaction) => {
		const [row] = await transaction.rows(
			`SELECT quantile_cont(duration_ms, ${Number(query.quantile)}) AS value, count(*) AS requests,
				count(DISTINCT unit) AS units
			FROM entries WHERE service = $service AND ended AND reference AND received_ms >= $since AND received_ms < $until`,
			{ service: query.service, since: BigInt(query.sinceMs), until: BigInt(query.untilMs) },
		);
		if (row === undefined || row.value === null) return null;
		return { valueMs: Number(row.value), requests: Number(row.requests), units: Number(row.units) };
	});
}
