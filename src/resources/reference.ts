/** Who names whom: the references between resources, in one list. Pure. */
import type { Named, Path } from "./position.js";
import type { Kind, Resource } from "./resource.js";

/** A resource that another one names. */
export interface Reference {
	readonly from: Named;
	/** Of the field that names it. */
	readonly path: Path;
	readonly to: Named;
}

/**
 * What a resource names. Not a Layer, which need not be declared to be named, nor `*`, which names nobody in particular.
 */
export function referencesOf(from: Resource): readonly Reference[] {
	const { namespace } = from.metadata;
	const to = (kind: Kind, name: string, ...path: Path): Reference => ({
		from,
		path: ["spec", ...path],
		to: { kind, metadata: { name, namespace } },
	});
	switch (from.kind) {
		case "AccessPolicy": {
			const { services, dataClasses } = from.spec;
			return [
				...services.flatMap((name, index) => (name === "*" ? [] : [to("Service", name, "services", index)])),
				...dataClasses.map((name, index) => to("DataClass", name, "dataClasses", index)),
			];
		}
		case "Service":
			return from.spec.dataClass === null ? [] : [to("DataClass", from.spec.dataClass, "dataClass")];
		case "Experiment": {
			const { service, goal, guardrails } = from.spec;
			return [
				to("Service", service, "service"),
				...(goal === null ? [] : [to("Metric", goal.metric, "goal", "metric")]),
				...guardrails.map(({ metric }, index) => to("Metric", metric, "guardrails", index, "metric")),
			];
		}
		default:
			return [];
	}
}
