/**
 * What a delete would do, worked out before anything is written: the resources away, all at once, and the rest checked.
 * What another resource still names stays, and so does the last AccessPolicy of a Service: nobody could call it then,
 * and what nobody can call is soon opened in a hurry. Both go where the other goes with them. Pure.
 */
import { policiesOf } from "../../access/rules/selection.js";
import { WeirError } from "../../error.js";
import { STATE_KEY_CHARS_MAX } from "../../limits.js";
import { changeProblems } from "../../resources/change.js";
import { type Named, type Positions, resourceTitle } from "../../resources/position.js";
import { mayName, referencesOf } from "../../resources/reference.js";
import type {
	AccessPolicy,
	Kind,
	Problem,
	ReferenceGrant,
	Resource,
	ResourceSet,
	Service,
} from "../../resources/resource.js";
import { openedByGrants } from "../consequences/grantsOpened.js";
import { rulesLoosened } from "../consequences/rulesLoosened.js";
import { newlyUnplaced } from "../consequences/unplaced.js";
import { keyOf, resourceKey, sortedSet } from "../store/resourceSet.js";
import { crossCheck, phasesOf } from "./crossCheck.js";
import { declared, NOTHING, type Wishes, type WishPlan } from "./wishes.js";

/** One resource, by its qualified name. */
export interface Target {
	readonly kind: Kind;
	readonly name: string;
}

/** @throws WeirError `not-found` for any of them. */
export function planDelete(wishes: Wishes, targets: readonly Target[]): WishPlan {
	const keys = new Set(targets.map(({ kind, name }) => resourceKey(kind, name)));
	const stored = new Map(wishes.stored.map(({ resource }) => [keyOf(resource), resource]));
	const unknown = targets.find(({ kind, name }) => !stored.has(resourceKey(kind, name)));
	if (unknown !== undefined) {
		const { kind, name } = unknown;
		throw new WeirError("not-found", `no ${kind} '${name.slice(0, STATE_KEY_CHARS_MAX)}'`, "see weir get");
	}
	const given = [...keys].flatMap((key) => stored.get(key) ?? []);
	const kept = wishes.stored.filter(({ resource }) => !keys.has(keyOf(resource)));
	const whole = crossCheck(wishes.stored, kept, [], wishes.status);
	const after = sortedSet(kept.map(({ resource }) => resource));
	const named = stillNamed(
		given,
		kept.map(({ resource }) => resource),
		whole.positions,
	);
	const closed = leftClosed(given, after, whole.positions);
	const said = new Set([...named, ...closed].map(({ position }) => JSON.stringify(position)));
	const problems = [
		...changeProblems(wishes.resources, after, phasesOf(wishes.status), whole.positions),
		...named,
		...closed,
		// The checks find an unknown name at the same place, and would advise to write another.
		...whole.problems.filter(({ position }) => position === null || !said.has(JSON.stringify(position))),
	];
	if (problems.length > 0) return { ...NOTHING, problems, given };
	const unique = [...new Map(targets.map((one) => [resourceKey(one.kind, one.name), one])).values()];
	const of = (kind: Kind): readonly string[] => unique.filter((one) => one.kind === kind).map(({ name }) => name);
	const gone = (names: readonly string[]): Record<string, null> =>
		Object.fromEntries(names.map((name) => [name, null]));
	const changes = unique.map(({ kind, name }) => ({ kind, name, change: "deleted" }) as const);
	return {
		...NOTHING,
		problems,
		given,
		changes,
		deletions: unique,
		unplaced: newlyUnplaced(wishes.resources, after, changes),
		opened: openedByGrants(wishes.resources, after, changes),
		loosened: rulesLoosened(wishes.resources, after, changes),
		experiments: gone(of("Experiment")),
		services: gone(of("Service")),
		decisions: of("Experiment").flatMap((experiment) => {
			const before = wishes.status.experiments[experiment];
			if (before === undefined) return [];
			return [{ experiment, before, outcome: declared(before, "The Experiment was deleted.") }];
		}),
	};
}

/** Ended Experiments name their Service and Metrics too: what they say of the past is read with them. */
function stillNamed(gone: readonly Resource[], kept: readonly Resource[], positions: Positions): readonly Problem[] {
	const titles = new Set(gone.map(resourceTitle));
	const grants = kept.filter((one): one is ReferenceGrant => one.kind === "ReferenceGrant");
	return kept.flatMap(referencesOf).flatMap(({ from, path, to }) =>
		// Who may not name it, or not any more, holds nobody up, nor does another namespace's Service a DataClass.
		titles.has(resourceTitle(to)) && mayName(from, to, grants) && !isAnothers(from, to)
			? [
					{
						position: positions.at(from, path),
						message: `${resourceTitle(from)} names ${resourceTitle(to)}`,
						hint: `delete or change that first, or delete both at once: weir delete ${both(to, from)}`,
					},
				]
			: [],
	);
}

const isAnothers = (from: Named, to: Named): boolean =>
	to.kind === "DataClass" && from.metadata.namespace !== to.metadata.namespace;

/** Deny by default would hold; that a Service is closed to everyone must be meant, not happen. */
function leftClosed(gone: readonly Resource[], after: ResourceSet, positions: Positions): readonly Problem[] {
	const policies = gone.filter(
		(one): one is AccessPolicy => one.kind === "AccessPolicy" && one.spec.mode === "enforce",
	);
	const isGuarded = (service: Service): boolean =>
		service.spec.access === "open" ||
		policiesOf(service, after.accessPolicies, after.referenceGrants).some(({ spec }) => spec.mode === "enforce");
	return after.services.flatMap((service) => {
		const last = policiesOf(service, policies, after.referenceGrants)[0];
		if (last === undefined || isGuarded(service)) return [];
		return [
			{
				position: positions.at(service, ["spec"]),
				message: `${resourceTitle(last)} is the last one about ${resourceTitle(service)}, which nobody could call any more`,
				hint: `apply the policy that takes its place first (one with action: deny closes it), or delete both at once: weir delete ${both(last, service)}`,
			},
		];
	});
}

/** As the command takes them. */
const both = (...named: readonly Named[]): string => named.map(resourceTitle).join(" ");
