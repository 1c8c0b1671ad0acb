/** Who names whom: the references between resources, in one list, and which of them a namespace lets in. Pure. */
import { inNamespace } from "./lookup.js";
import type { Named, Path } from "./position.js";
import type { Kind, ReferenceGrant, Resource } from "./resource.js";

/** A resource that another one names. */
export interface Reference {
	readonly from: Named;
	/** Of the field that names it. */
	readonly path: Path;
	readonly to: Named;
}

/** Of whom each kind may name one in another namespace, with a grant. A grant of one kind gives no other. */
export const GRANTABLE = { AccessPolicy: "Service", Service: "DataClass" } as const;

/** What is written as NAME, or as NAMESPACE/NAME, in a resource of that namespace. */
export function namedIn(namespace: string, written: string): Named["metadata"] {
	const cut = written.indexOf("/");
	return cut < 0 ? { name: written, namespace } : { name: written.slice(cut + 1), namespace: written.slice(0, cut) };
}

/**
 * Whether the one may name the other: of its own namespace always; of another one where a grant in that namespace says
 * so, for these two kinds. Asked anew wherever a name is followed, so that nothing outlasts its grant (CVE-2026-53718).
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

/** An AccessPolicy follows no DataClass: it compares the name with what each of its Services says of itself. */
export function isFollowed({ from, to }: Reference): boolean {
	return from.kind !== "AccessPolicy" || to.kind !== "DataClass";
}

/**
 * What a resource names. Not a Layer, which need not be declared to be named, nor `*`, which names nobody in particular.
 */
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
