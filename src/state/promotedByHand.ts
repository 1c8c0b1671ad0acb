/** Declarations that do what `weir promote` does: they give a Service another default Variant. Pure. */
import { qualifiedName, type Resource, type Service } from "../resources/resource.js";
import type { State } from "../rollout/ports.js";
import { requirement } from "./approval.js";
import { running } from "./crossCheck.js";
import { serviceOf } from "./resourceSet.js";

export interface PromotedByHand {
	readonly namespace: string;
	/** `moves the default Variant of Service model from v1 to v2` */
	readonly effect: string;
}

/**
 * A change of a Service's live default Variant counts as a promotion where promotions are watched: an Experiment runs on
 * the Service, or an ApprovalPolicy covers promotions of the namespace. There a Service that is deleted counts too, for
 * it could be declared anew with the other default. Elsewhere it is a declaration like any other.
 * @param changed after null = deleted
 */
export function promotionsIn(
	{ resources, status }: Pick<State, "resources" | "status">,
	changed: readonly { readonly before: Resource; readonly after: Resource | null }[],
): readonly PromotedByHand[] {
	const live = running(status);
	const services = new Set(
		resources.experiments.filter((one) => live.has(qualifiedName(one.metadata))).map((one) => serviceOf(one)),
	);
	return changed.flatMap(({ before, after }): PromotedByHand[] => {
		if (before.kind !== "Service") return [];
		const name = qualifiedName(before.metadata);
		const { namespace } = before.metadata;
		const watched = services.has(name) || requirement(resources.approvalPolicies, "promote", [namespace]).needs > 0;
		if (!watched) return [];
		const old = status.services[name]?.defaultVariant ?? before.spec.defaultVariant;
		if (after === null) return [{ namespace, effect: `takes away the default Variant ${old} of Service ${name}` }];
		const next = after.kind === "Service" ? nextDefault(before, after, old) : old;
		return next === old
			? []
			: [{ namespace, effect: `moves the default Variant of Service ${name} from ${old} to ${next}` }];
	});
}

/** A field that stays as it was leaves a promoted Variant in its place. */
function nextDefault(before: Service, after: Service, live: string): string {
	return after.spec.defaultVariant === before.spec.defaultVariant ? live : after.spec.defaultVariant;
}
