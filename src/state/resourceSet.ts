/** A ResourceSet taken apart into single resources, and put together again in the state file's order. */
import {
	type Experiment,
	type Kind,
	type Metric,
	qualifiedName,
	type Resource,
	type ResourceSet,
} from "../resources/resource.js";

export const KINDS: readonly Kind[] = ["Gateway", "Service", "Layer", "Experiment", "Metric", "AccessPolicy"];

/** Unique per resource of a set. */
export function resourceKey(kind: Kind, name: string): string {
	return `${kind} ${name}`;
}

export function keyOf(resource: Resource): string {
	return resourceKey(resource.kind, qualifiedName(resource.metadata));
}

export function listResources(set: ResourceSet): readonly Resource[] {
	return [...set.gateways, ...set.services, ...set.layers, ...set.experiments, ...set.metrics, ...set.accessPolicies];
}

export function resourceSet(resources: Iterable<Resource>): ResourceSet {
	const sorted = [...resources].sort((a, b) => compare(keyOf(a), keyOf(b)));
	const ofKind = <K extends Kind>(kind: K): Extract<Resource, { kind: K }>[] =>
		sorted.filter((resource): resource is Extract<Resource, { kind: K }> => resource.kind === kind);
	return {
		gateways: ofKind("Gateway"),
		services: ofKind("Service"),
		layers: ofKind("Layer"),
		experiments: ofKind("Experiment"),
		metrics: ofKind("Metric"),
		accessPolicies: ofKind("AccessPolicy"),
	};
}

/** Qualified name of the Service of an Experiment, which lies in the same namespace. */
export function serviceOf(experiment: Experiment): string {
	return qualifiedName({ name: experiment.spec.service, namespace: experiment.metadata.namespace });
}

/** What ingest must know of a Metric to take an outcome. */
export interface MetricName {
	/** Qualified name, as outcomes give it. */
	readonly name: string;
	readonly type: Metric["spec"]["type"];
	readonly source: Metric["spec"]["source"];
}

export function metricNames(set: ResourceSet): readonly MetricName[] {
	return set.metrics.map((metric) => ({
		name: qualifiedName(metric.metadata),
		type: metric.spec.type,
		source: metric.spec.source,
	}));
}

function compare(a: string, b: string): number {
	return a < b ? -1 : a > b ? 1 : 0;
}
