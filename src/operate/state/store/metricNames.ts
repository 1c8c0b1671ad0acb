/** The declared Metrics, as ingest must know them. */
import { type Judge, judgesOf } from "../../../decide/rollout/judges.js";
import type { State } from "../../../decide/rollout/ports.js";
import { type Metric, qualifiedName } from "../../../declare/resources/resource.js";

/** What ingest must know of a Metric to accept an outcome. */
export interface MetricName {
	/** Qualified name, as outcomes give it. */
	readonly name: string;
	readonly type: Metric["spec"]["type"];
	readonly source: Metric["spec"]["source"];
	/** How long its rows are needed, from a unit's first exposure on and (null = not at all) before it. */
	readonly windowMs: number;
	readonly covariateMs: number | null;
	/** Allowed range of a value; null = any number. */
	readonly range: Metric["spec"]["range"];
	/** SPIFFE ids that may post its outcomes; empty = only the local owner. */
	readonly senders: readonly string[];
	/** Running Experiments that use it. */
	readonly judges: readonly Judge[];
}

export function metricNames(state: Pick<State, "resources" | "status">): readonly MetricName[] {
	const judges = judgesOf(state);
	return state.resources.metrics.map((metric) => ({
		name: qualifiedName(metric.metadata),
		type: metric.spec.type,
		source: metric.spec.source,
		windowMs: metric.spec.windowMs,
		covariateMs: metric.spec.covariateMs,
		range: metric.spec.range,
		senders: metric.spec.senders,
		judges: judges.get(qualifiedName(metric.metadata)) ?? [],
	}));
}
