/**
 * Declarations of gates on control's own machine. Control asks them, so that whoever declares one has control send a POST to
 * what listens on the loopback there for its own machine alone, with a path of his choice: that is for the platform's admins.
 * Pure.
 */
import { bareHost } from "../../resources/address.js";
import { isThisMachine } from "../../resources/checks/shared.js";
import { qualifiedName, type Resource } from "../../resources/resource.js";
import { gateHost } from "../../rollout/gate.js";
import { ALL_NAMESPACES } from "../rights/permissions.js";
import { has } from "./gatesWeakened.js";

export interface LocalGate {
	readonly namespace: typeof ALL_NAMESPACES;
	/** `lets Experiment trial ask gate before-step (127.0.0.1:8080) on the machine of control` */
	readonly effect: string;
}

/** What stands already is no declaration of it. @param changed before null = created, after null = deleted */
export function localGates(
	changed: readonly { readonly before: Resource | null; readonly after: Resource | null }[],
): readonly LocalGate[] {
	return changed.flatMap(({ before, after }): readonly LocalGate[] => {
		if (after?.kind !== "Experiment") return [];
		return after.spec.rollout.gates
			.filter(({ url }) => isThisMachine(bareHost(new URL(url).hostname)))
			.filter((gate) => before?.kind !== "Experiment" || !has(before, gate))
			.map(({ at, url }) => ({
				namespace: ALL_NAMESPACES,
				effect: `lets Experiment ${qualifiedName(after.metadata)} ask gate ${at} (${gateHost(url)}) on the machine of control`,
			}));
	});
}
