/** References between resources, and which of them other namespaces may use. Pure. */
import { inNamespace } from "./lookup.js";
import type { Named, Path } from "./position.js";
import type { Kind, ReferenceGrant, Resource } from "./resource.js";

/** A reference from one resource to another. */
export interface Reference {
	readonly from: Named;
	/** Path of the field with the name. */
	readonly path: Path;
	readonly to: Named;
}

/** Kinds that may be referenced across namespaces, with a grant for exactly that pair of kinds. */
export const GRANTABLE = { AccessPolicy: "Service", Service: "DataClass" } as const;

/** Resolves NAME or NAMESPACE/NAME in a resource of that namespace. */
export function namedIn(namespace: string, written: string): Named["metadata"] {
	const cut = written.indexOf("/");
	return cut < 0 ? { name: written, namespace } : { name: written.slice(cut + 1), namespace: written.slice(0, cut) };
}

/**
 * Whether a reference is allowed: in the same namespace, or by a grant for these two kinds in the target's namespace.
 * Checked at each use, so that a reference ends with its grant (CVE-2026-53718).
 */
export function mayName(from: Named, to: Named, grants: readonly ReferenceGrant[]): boolean {
	const { namespace } = from.metadata;
	if (namespace === to.metadata.namespace) return true;
	return inNamespace(grants, to.metadata.namespace).some(
		({ spec }) =>
			spec.from.some(
				(one) => one.kind === from.kind && one.namespace === namespace && GRANTABLE[one.kind] === to.kind,
			) && spec.to.some((one) => one.kind === to.kind && (one.name === null || one.name === to.metadata.name)),
	);
}

/** Not an AccessPolicy's DataClass, which is only compared with that of each Service. */
export function isFollowed({ from, to }: Reference): boolean {
	return from.kind !== "AccessPolicy" || to.kind !== "DataClass";
}

/** References of a resource. Without Layers, which need not be declared, and `*`. */
export function referencesOf(from: Resource): readonly Reference[] {
	const to = (kind: Kind, written: string, ...path: Path): Reference => ({
		from,
		path: ["spec", ...path],
		to: { kind, metadata: namedIn(from.metadata.namespace, written) },
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
		case "Metric": {
			const { denominator } = from.spec;
			return denominator === null || denominator === "requests"
				? []
				: [to("Metric", denominator.metric, "denominator")];
		}
		default:
			return [];
	}
}
