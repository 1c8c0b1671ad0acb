/**
 * Declarations that do what `weir promote --override-gates` does: they take a gate from an Experiment that runs, start
 * another one on its Service without the gate, or give its Service another default Variant without asking the gates. Pure.
 */
import { serviceOf } from "../resources/lookup.js";
import { type Experiment, type Gate, qualifiedName, type Resource } from "../resources/resource.js";
import { gateHost } from "../rollout/gate.js";
import type { State } from "../rollout/ports.js";
import { running } from "./crossCheck.js";

export interface GatesWeakened {
	readonly namespace: string;
	/** `takes gate before-promotion (ci.example) from Experiment trial` */
	readonly effect: string;
}

/**
 * A gate is what it is asked for and where: it is gone too where its URL is another one, or it is asked at another point.
 * One that has longer to answer still has to say yes.
 *
 * An Experiment that runs holds its gates over its Service. So does one that ended without a promotion, or else to end it
 * (an abort, a margin that makes harm of what is there) and start it anew without them would be the way around: its gates
 * stand until a later Experiment of the Service has taken them over or was promoted, which is declared still, or an admin
 * deletes it. (One that runs is deleted by nobody: resources/change.ts.) What was promoted holds nothing any more: its gates
 * have said yes, or an admin has passed them. What its document says after that says nothing.
 * @param changed after null = deleted
 * @param started Experiments that were not there before
 */
export function gatesWeakened(
	{ resources, status }: Pick<State, "resources" | "status">,
	changed: readonly { readonly before: Resource; readonly after: Resource | null }[],
	started: readonly Experiment[],
): readonly GatesWeakened[] {
	const live = running(status);
	const held = heldGates({ resources, status });
	const taken = changed.flatMap(({ before, after }): GatesWeakened[] => {
		if (before.kind !== "Experiment") return [];
		const name = qualifiedName(before.metadata);
		if (after === null && live.has(name)) return [];
		return held(before)
			.filter((gate) => after?.kind !== "Experiment" || serviceOf(after) !== serviceOf(before) || !has(after, gate))
			.map((gate) => ({
				namespace: before.metadata.namespace,
				effect: `takes ${titleOf(gate)} from Experiment ${name}`,
			}));
	});
	const evaded = started.flatMap((one): GatesWeakened[] =>
		resources.experiments
			.filter((other) => serviceOf(other) === serviceOf(one))
			.flatMap((other) => held(other).map((gate) => ({ gate, other: qualifiedName(other.metadata) })))
			.filter(({ gate }) => !has(one, gate))
			.map(({ gate, other }) => ({
				namespace: one.metadata.namespace,
				effect: `starts Experiment ${qualifiedName(one.metadata)} without ${titleOf(gate)} of Experiment ${other}`,
			})),
	);
	return [...taken, ...evaded];
}

/** The gates that an Experiment holds over its Service, as above. */
export function heldGates({
	resources,
	status,
}: Pick<State, "resources" | "status">): (one: Experiment) => readonly Gate[] {
	const live = running(status);
	const startedAtMs = (one: Experiment): number => status.experiments[qualifiedName(one.metadata)]?.startedAtMs ?? 0;
	const takenOver = (one: Experiment, gate: Gate): boolean =>
		resources.experiments.some(
			(later) =>
				serviceOf(later) === serviceOf(one) &&
				startedAtMs(later) > startedAtMs(one) &&
				(has(later, gate) || status.experiments[qualifiedName(later.metadata)]?.phase === "Promoted"),
		);
	return (one) => {
		const name = qualifiedName(one.metadata);
		if (live.has(name)) return one.spec.rollout.gates;
		const { phase } = status.experiments[name] ?? {};
		if (phase !== "Aborted" && phase !== "RolledBack") return [];
		return one.spec.rollout.gates.filter((gate) => !takenOver(one, gate));
	};
}

export function has({ spec }: Experiment, { at, url }: Gate): boolean {
	return spec.rollout.gates.some((gate) => gate.at === at && gate.url === url);
}

const titleOf = ({ at, url }: Gate): string => `gate ${at} (${gateHost(url)})`;
