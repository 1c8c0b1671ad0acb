/** Declarations that do what `weir promote` does: they give a Service another default Variant. Pure. */
import { qualifiedName, type Resource, type Service } from "../resources/resource.js";
import { gatesAt } from "../rollout/gate.js";
import type { State } from "../rollout/ports.js";
import { requirement } from "./approval.js";
import { running } from "./crossCheck.js";
import { serviceOf } from "./resourceSet.js";

export interface PromotedByHand {
	readonly namespace: string;
	/** `moves the default Variant of Service model from v1 to v2` */
	readonly effect: string;
	/** An Experiment that runs on the Service has gates before a promotion, and nobody asks them for this one. */
	readonly passesGates: boolean;
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
	const experiments = resources.experiments.filter((one) => live.has(qualifiedName(one.metadata)));
	const services = new Set(experiments.map(serviceOf));
	const gated = new Set(experiments.filter((one) => gatesAt(one, "before-promotion").length > 0).map(serviceOf));
	return changed.flatMap(({ before, after }): PromotedByHand[] => {
		if (before.kind !== "Service") return [];
		const name = qualifiedName(before.metadata);
		const { namespace } = before.metadata;
		const watched = services.has(name) || requirement(resources.approvalPolicies, "promote", [namespace]).needs > 0;
		if (!watched) return [];
		const old = status.services[name]?.defaultVariant ?? before.spec.defaultVariant;
		const passesGates = gated.has(name);
		if (after === null) {
			return [{ namespace, effect: `takes away the default Variant ${old} of Service ${name}`, passesGates }];
		}
		const next = after.kind === "Service" ? nextDefault(before, after, old) : old;
		return next === old
			? []
			: [{ namespace, effect: `moves the default Variant of Service ${name} from ${old} to ${next}`, passesGates }];
	});
}

/** A field that stays as it was leaves a promoted Variant in its place. */
function nextDefault(before: Service, after: Service, live: string): string {
	return after.spec.defaultVariant === before.spec.defaultVariant ? live : after.spec.defaultVariant;
}
