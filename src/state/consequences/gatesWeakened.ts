/**
 * Declarations that do what `weir promote --override-gates` does: they take a gate from an Experiment that runs, start
 * another one on its Service without the gate, or give its Service another default Variant without asking the gates. Pure.
 */
import { GATES_MAX } from "../../limits.js";
import { experimentsOfName, serviceOf } from "../../resources/lookup.js";
import { once, oncePerName } from "../../resources/once.js";
import { type Experiment, type Gate, qualifiedName, type Resource } from "../../resources/resource.js";
import { gateHost } from "../../rollout/gate.js";
import type { State } from "../../rollout/ports.js";
import type { ExperimentStatus } from "../../rollout/status.js";
import { running } from "../acts/crossCheck.js";

export interface GatesWeakened {
	readonly namespace: string;
	/** `takes gate before-promotion (ci.example) from Experiment trial` */
	readonly effect: string;
	/** What its author can do without an admin; absent: nothing. */
	readonly cure?: string;
}

/**
 * A gate is what it is asked for and where: it is gone too where its URL is another one, or it is asked at another point.
 * One that has longer to answer still has to say yes.
 *
 * An Experiment that runs holds its gates over its Service. So does one that ended without a promotion, or else to end it
 * (an abort, a margin that makes harm of what is there) and start it anew without them would be the way around: its gates
 * stand until an Experiment of the Service that began after that end has taken them over or was promoted, which is declared
 * still, or an admin deletes it. (One that runs is deleted by nobody, and the document of one that has ended is changed by
 * nobody: resources/change.ts.) What was promoted holds nothing any more: its gates have said yes, or an admin has passed them.
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
	/** Of a Service, each once. */
	const heldOver = oncePerName((service: string) => {
		const gates = new Map<string, { readonly gate: Gate; readonly of: string }>();
		for (const other of experimentsOfName(resources.experiments, service))
			for (const gate of held(other))
				if (!gates.has(keyOf(gate))) gates.set(keyOf(gate), { gate, of: qualifiedName(other.metadata) });
		return gates;
	});
	const evaded = started.flatMap((one): readonly GatesWeakened[] => {
		const { namespace } = one.metadata;
		const all = heldOver(serviceOf(one));
		const own = keysOf(one);
		const missing = firstOf(all, GATES_MAX, (key) => !own.has(key));
		const starts = `starts Experiment ${qualifiedName(one.metadata)} without`;
		const cure = (of: string): string =>
			`declare that gate in it too, as Experiment ${of} has it, or ask an admin to apply it`;
		const more = all.size - [...own].filter((key) => all.has(key)).length - missing.length;
		return [
			...missing.map(({ gate, of }) => ({
				namespace,
				effect: `${starts} ${titleOf(gate)} of Experiment ${of}`,
				cure: cure(of),
			})),
			...(more > 0
				? [{ namespace, effect: `${starts} ${more} more gate${more === 1 ? "" : "s"} of Service ${serviceOf(one)}` }]
				: []),
		];
	});
	return [...taken, ...evaded];
}

/** The gates that an Experiment holds over its Service, as above. */
export function heldGates({
	resources,
	status,
}: Pick<State, "resources" | "status">): (one: Experiment) => readonly Gate[] {
	const live = running(status);
	const statusOf = (one: Experiment): ExperimentStatus | undefined => status.experiments[qualifiedName(one.metadata)];
	const startedAtMs = (one: Experiment): number => statusOf(one)?.startedAtMs ?? 0;
	/** When the last one began on the Service that was promoted, and by gate the last one that has it. */
	const lastOf = oncePerName((service: string) => {
		const gates = new Map<string, number>();
		let promoted = Number.NEGATIVE_INFINITY;
		for (const one of experimentsOfName(resources.experiments, service)) {
			const atMs = startedAtMs(one);
			if (statusOf(one)?.phase === "Promoted") promoted = Math.max(promoted, atMs);
			for (const key of keysOf(one)) gates.set(key, Math.max(gates.get(key) ?? atMs, atMs));
		}
		return { promoted, gates };
	});
	return (one) => {
		const stands = statusOf(one);
		const { gates } = one.spec.rollout;
		if (live.has(qualifiedName(one.metadata))) return gates;
		if (stands?.phase !== "Aborted" && stands?.phase !== "RolledBack") return [];
		const last = lastOf(serviceOf(one));
		// What began beside it was not started in its place, and could be promoted before it ended.
		const endedAtMs = Math.max(stands.endedAtMs ?? 0, stands.startedAtMs);
		return gates.filter((gate) => Math.max(last.promoted, last.gates.get(keyOf(gate)) ?? 0) <= endedAtMs);
	};
}

/** Whether it may say no: before a promotion, or before a step, a takeover's too. */
export const isAsked = ({ at }: Gate): boolean => at !== "after-rollback";

export const has = (one: Experiment, gate: Gate): boolean => keysOf(one).has(keyOf(gate));

/** The first values whose key is wanted: the others, of which there may be thousands for each of thousands, are not looked at. */
function firstOf<Value>(
	all: ReadonlyMap<string, Value>,
	most: number,
	isWanted: (key: string) => boolean,
): readonly Value[] {
	const found: Value[] = [];
	for (const [key, value] of all) {
		if (found.length === most) break;
		if (isWanted(key)) found.push(value);
	}
	return found;
}

/** What it is asked for, and where, in whatever spelling. */
export const keyOf = once(({ at, url }: Gate): string => `${at} ${new URL(url).href}`);

export const keysOf = once(({ spec }: Experiment): ReadonlySet<string> => new Set(spec.rollout.gates.map(keyOf)));

const titleOf = ({ at, url }: Gate): string => `gate ${at} (${gateHost(url)})`;
