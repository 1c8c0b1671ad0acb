/** Resources as the state file holds them: one by one, under a key. */
import { resourceSet } from "../resources/kinds.js";
import { once } from "../resources/once.js";
import { type Kind, type Metric, qualifiedName, type Resource, type ResourceSet } from "../resources/resource.js";
import { settleMs } from "../resources/settle.js";

/** Unique per resource of a set. */
export function resourceKey(kind: Kind, name: string): string {
	return `${kind} ${name}`;
}

export function keyOf(resource: Resource): string {
	return resourceKey(resource.kind, qualifiedName(resource.metadata));
}

/** The set in the order of kind and name, so that the same wishes make the same set in whatever order they came. */
export function sortedSet(resources: Iterable<Resource>): ResourceSet {
	return resourceSet([...resources].sort((a, b) => compare(keyOf(a), keyOf(b))));
}

/** What ingest must know of a Metric to take an outcome. */
export interface MetricName {
	/** Qualified name, as outcomes give it. */
	readonly name: string;
	readonly type: Metric["spec"]["type"];
	readonly source: Metric["spec"]["source"];
	/** How long its rows are needed, from a unit's first exposure on and (null = not at all) before it. */
	readonly windowMs: number;
	readonly covariateMs: number | null;
	/** How long after its window a unit's observation is made at the latest, by any Service of the namespace. */
	readonly settleMs: number;
	/** Bounds that every value keeps; null = any number. */
	readonly range: Metric["spec"]["range"];
	/** SPIFFE ids that may post its outcomes; empty = only the local owner. */
	readonly senders: readonly string[];
}

export function metricNames(set: ResourceSet): readonly MetricName[] {
	return set.metrics.map((metric) => ({
		name: qualifiedName(metric.metadata),
		type: metric.spec.type,
		source: metric.spec.source,
		windowMs: metric.spec.windowMs,
		covariateMs: metric.spec.covariateMs,
		settleMs: settleMsIn(set, metric),
		range: metric.spec.range,
		senders: metric.spec.senders,
	}));
}

function settleMsIn({ services }: ResourceSet, { metadata, spec }: Metric): number {
	if (spec.source === "outcome") return settleMs(spec.source, 0);
	return longestSettles(services).get(metadata.namespace) ?? settleMs(spec.source, 0);
}

/** Of what is told by requests, by namespace. */
const longestSettles = once((services: ResourceSet["services"]) => {
	const longest = new Map<string, number>();
	for (const { metadata, spec } of services) {
		const ms = settleMs("errors", spec.timeoutMs);
		longest.set(metadata.namespace, Math.max(ms, longest.get(metadata.namespace) ?? 0));
	}
	return longest;
});

function compare(a: string, b: string): number {
	return a < b ? -1 : a > b ? 1 : 0;
}
