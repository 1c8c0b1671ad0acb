/** Resources as the state file holds them: one by one, under a key. */

import { type Judge, judgesOf } from "../../../decide/rollout/judges.js";
import type { State } from "../../../decide/rollout/ports.js";
import { resourceSet } from "../../../declare/resources/kinds.js";
import {
	type Kind,
	type Metric,
	qualifiedName,
	type Resource,
	type ResourceSet,
} from "../../../declare/resources/resource.js";

/** Unique per resource of a set. */
export function resourceKey(kind: Kind, name: string): string {
	return `${kind} ${name}`;
}

export function keyOf(resource: Resource): string {
	return resourceKey(resource.kind, qualifiedName(resource.metadata));
}

/** The set sorted by kind and name, so that the order of declaration does not matter. */
export function sortedSet(resources: Iterable<Resource>): ResourceSet {
	return resourceSet([...resources].sort((a, b) => compare(keyOf(a), keyOf(b))));
}

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

function compare(a: string, b: string): number {
	return a < b ? -1 : a > b ? 1 : 0;
}
