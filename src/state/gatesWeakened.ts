/**
 * Declarations that do what `weir promote --override-gates` does: they take a gate from an Experiment that runs, or give
 * its Service another default Variant without asking the gates. Pure.
 */
import { qualifiedName, type Resource } from "../resources/resource.js";
import { gateHost } from "../rollout/gate.js";
import type { Status } from "../rollout/status.js";
import { running } from "./crossCheck.js";

export interface GatesWeakened {
	readonly namespace: string;
	/** `takes gate before-promotion (ci.example) from Experiment trial` */
	readonly effect: string;
}

/**
 * A gate is what it is asked for and where: it is gone too where its URL is another one, or it is asked at another point.
 * One that has longer to answer still has to say yes. An Experiment that is deleted promotes nothing.
 * @param changed after null = deleted
 */
export function gatesWeakened(
	status: Status,
	changed: readonly { readonly before: Resource; readonly after: Resource | null }[],
): readonly GatesWeakened[] {
	const live = running(status);
	return changed.flatMap(({ before, after }) => {
		const name = qualifiedName(before.metadata);
		if (before.kind !== "Experiment" || after?.kind !== "Experiment" || !live.has(name)) return [];
		const kept = after.spec.rollout.gates;
		return before.spec.rollout.gates
			.filter((gate) => !kept.some(({ at, url }) => at === gate.at && url === gate.url))
			.map(({ at, url }) => ({
				namespace: before.metadata.namespace,
				effect: `takes gate ${at} (${gateHost(url)}) from Experiment ${name}`,
			}));
	});
}
