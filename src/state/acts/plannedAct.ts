/** What an act takes and would do, worked out before anything is written. Pure. */
import { WeirError } from "../../error.js";
import { APPROVAL_HEAD_EFFECTS_MAX } from "../../limits.js";
import { KINDS, resourcesOf } from "../../resources/kinds.js";
import { findQualified, serviceOf } from "../../resources/lookup.js";
import { referencesOf } from "../../resources/reference.js";
import {
	type ApprovalPolicy,
	type Experiment,
	namespaceOf,
	qualifiedName,
	type Resource,
} from "../../resources/resource.js";
import { promotedBefore, uncomparedWords } from "../../rollout/otherPromotion.js";
import { openChallengers } from "../../rollout/outcome.js";
import type { State } from "../../rollout/ports.js";
import { type ExperimentStatus, isExposing, liveDefault } from "../../rollout/status.js";
import type { MayRead } from "../api/visible.js";
import {
	type AskedAct,
	type AskedWish,
	bothOf,
	fingerprint,
	type Part,
	type Requirement,
	requirement,
} from "../approvals/approval.js";
import type { PersonRequest } from "../approvals/personRequest.js";
import { concerned } from "../approvals/requestSight.js";
import { changedFields } from "../audit/changedFields.js";
import { consequences, needsBeside } from "../consequences/consequence.js";
import { openedBasis, openedEffects } from "../consequences/grantsOpened.js";
import { someOf } from "../consequences/named.js";
import type { Loosened } from "../consequences/rulesLoosened.js";
import { onlyTakesAway } from "../consequences/takenAway.js";
import { unplacedEffects } from "../consequences/unplaced.js";
import { isRolledBack, type Scope } from "../history/policyHistory.js";
import { ADMIN_KINDS, ALL_NAMESPACES, type Need, namespacesOf, needsOf, needsOfChange } from "../rights/permissions.js";
import { keyOf, resourceKey } from "../store/resourceSet.js";
import type { WishPlan } from "./wishes.js";

/** The state as it stands, and what the caller may see of it. */
export interface Sight extends Pick<State, "resources" | "status"> {
	readonly mayRead: MayRead;
	/** Admin in `*`: changes of RoleBindings and ApprovalPolicies are the platform's own then. */
	readonly isPlatformAdmin: boolean;
}

/** What it takes, what it does, and what it would change as that stood. */
export interface Planned {
	readonly act: AskedAct | { readonly verb: "pause"; readonly experiment: string };
	readonly needs: readonly Need[];
	/** Whose policies it falls under by what it changes. */
	readonly governedBy: readonly string[];
	/** Further namespaces whose own people must approve it: those of Services that an AccessPolicy names by a grant. */
	readonly reaches: readonly string[];
	readonly requirement: Requirement;
	readonly effects: readonly string[];
	/** The effects, each with who is told of it. */
	readonly parts: readonly Part[];
	readonly basis: Readonly<Record<string, string>>;
}

/**
 * What stays as it is needs no permission to change it, if the caller may see that it is so: a file with everything
 * can be applied by whoever may change what changes.
 */
export function planWish(
	{ resources, status, mayRead, isPlatformAdmin }: Sight,
	act: AskedWish,
	plan: WishPlan,
	nowMs: number,
): Planned {
	const stored = new Map(resourcesOf(resources).map((one) => [keyOf(one), one]));
	// Of one with problems the plan writes nothing.
	const away = act.verb === "delete" ? act.resources : plan.deletions;
	const gone = new Set(away.map(({ kind, name }) => resourceKey(kind, name)));
	const written = new Set(plan.upserts.map(({ resource }) => keyOf(resource)));
	const judged = plan.given.filter((one) => {
		const before = stored.get(keyOf(one));
		const same = before !== undefined && fingerprint(before) === fingerprint(one);
		return !same || written.has(keyOf(one)) || gone.has(keyOf(one)) || !mayRead(one.metadata.namespace);
	});
	const before = judged.flatMap((one): readonly Resource[] => {
		const known = stored.get(keyOf(one));
		return known === undefined ? [] : [known];
	});
	const given = new Map(judged.map((one) => [keyOf(one), one]));
	const changed = before.map((one) => ({
		before: one,
		after: gone.has(keyOf(one)) ? null : (given.get(keyOf(one)) ?? null),
	}));
	const created = judged.filter((one) => !stored.has(keyOf(one)));
	const beside = consequences({ resources, status }, plan.given, changed, created);
	const touched = [...judged, ...before];
	const further: readonly Need[] = [
		...changed.flatMap((one) => needsOfChange(one.before, one.after)),
		// `promote` alone would not do where an admin is needed.
		...(["admin", "promote", "abort"] as const).flatMap((verb) => needsBeside(beside, verb)),
	];
	const needs = unique([...touched.flatMap(needsOf), ...further]);
	const rules = touched.filter(({ kind }) => kind === "RoleBinding" || kind === "ApprovalPolicy");
	const own = isPlatformAdmin ? touched.filter((one) => !rules.includes(one)) : touched;
	const guarded = isPlatformAdmin && rules.length > 0 ? [ALL_NAMESPACES] : rules.flatMap(namespacesOf);
	const governedBy = [
		...new Set([...[...own.flatMap(needsOf), ...further].map(({ namespace }) => namespace), ...guarded]),
	];
	const changes = new Map(plan.changes.map(({ kind, name, change }) => [`${kind} ${name}`, change]));
	const basis: Record<string, string> = {};
	for (const key of [...judged.map(keyOf), ...beside.flatMap(({ judgedBy }) => judgedBy ?? [])])
		basis[key] = fingerprint(stored.get(key));
	if (act.verb === "rollback") {
		// A rule that came meanwhile would stay, and they would not be what they were.
		const rules = [...stored.values()].filter(
			({ kind, metadata }) => isRolledBack(kind) && scopeOf(act, mayRead)(metadata.namespace),
		);
		basis["access rules"] = fingerprint(rules);
	}
	const { approvalPolicies } = resources;
	const free = act.verb === "delete" && onlyTakesAway(plan.given, { resources, status }, nowMs);
	const reaches = free ? [] : reachedBy(touched, approvalPolicies);
	const applying = free ? FREE : requirement(approvalPolicies, "apply", [...governedBy, ...reaches], guarded);
	const waits = [
		applying,
		...(["promote", "abort"] as const).map((verb) =>
			requirement(
				approvalPolicies,
				verb,
				needsBeside(beside, verb).map(({ namespace }) => namespace),
			),
		),
	];
	const parts: readonly Part[] = [
		...rollbackParts(act),
		...judged.map((one) => {
			const title = `${one.kind} ${qualifiedName(one.metadata)}`;
			const was = stored.get(keyOf(one));
			const change = changes.get(title) ?? act.verb;
			const fields = was === undefined || change !== "configured" ? "" : changedFields(was, one);
			return {
				effect: `${change} ${title}${fields === "" ? "" : `: ${fields}`}`,
				resource: keyOf(one),
				namespaces: [...new Set([one, ...(was === undefined ? [] : [was])].flatMap(concerned))],
			};
		}),
		...beside.map(({ effect, namespace }) => ({
			effect,
			resource: null,
			namespaces: [namespace],
		})),
		...plan.loosened.map((one) => ({
			effect: loosenedEffect(one),
			resource: null,
			namespaces: [...new Set([one.namespace, namespaceOf(one.policy)])],
		})),
		...[...plan.shared, ...openedEffects(plan.opened)].map(({ effect, namespace }) => ({
			effect,
			resource: null,
			namespaces: [namespace],
		})),
		...unplacedEffects(plan.unplaced).map((effect) => ({ effect, resource: null, namespaces: [] })),
	];
	// Of a long list the first are shown: what makes the act more than its documents comes before them.
	const shown = parts.length > APPROVAL_HEAD_EFFECTS_MAX ? weightyFirst(parts) : parts;
	return {
		act,
		needs,
		governedBy,
		reaches,
		requirement: {
			needs: Math.max(...waits.map((one) => one.needs)),
			needsIn: waits.map((one) => one.needsIn).reduce((one, needsIn) => bothOf({ needsIn: one }, { needsIn })),
			expireMs: Math.min(...waits.map((one) => one.expireMs)),
		},
		effects: shown.map(({ effect }) => effect),
		parts: shown,
		basis: { ...basis, ...openedBasis(plan.opened) },
	};
}

const loosenedEffect = ({ policy, namespace, services, words }: Loosened): string =>
	`AccessPolicy ${policy} may let in more at Services of namespace ${namespace} (${someOf(services)}): ${words.join("; ")}`;

function rollbackParts(act: AskedWish): readonly Part[] {
	if (act.verb !== "rollback") return [];
	const about = (effect: string, ...names: readonly string[]): Part => ({
		effect,
		resource: null,
		namespaces: names.map(namespaceOf),
	});
	return [
		about(`access rules as of revision ${act.revision}`),
		...(act.kept ?? []).map(({ kind, name }) => about(`keeps ${kind} ${name}, which came later`, name)),
		...(act.leftOut ?? []).map(({ kind, name }) => about(`leaves out ${kind} ${name}, whose Services are gone`, name)),
	];
}

/** What follows from the documents, then those of rights, then what there was, then what is new. */
function weightyFirst(parts: readonly Part[]): readonly Part[] {
	const weight = ({ effect, resource }: Part): number => {
		if (resource === null) return 0;
		const kind = KINDS.find((one) => resource.startsWith(`${one} `));
		if (kind === "AccessPolicy" || (kind !== undefined && ADMIN_KINDS.has(kind))) return 1;
		return effect.startsWith("created ") ? 3 : 2;
	};
	const weighed = parts.map((part) => ({ part, is: weight(part) }));
	return weighed.sort((one, other) => one.is - other.is).map(({ part }) => part);
}

/** @throws WeirError `not-found`. */
export function planPerson(
	{ resources, status, mayRead }: Sight,
	name: string,
	{ verb, arm, reason, overrideGates = false, shutOut = false }: Omit<PersonRequest, "by" | "nowMs" | "approvedBy">,
): Planned {
	const namespace = namespaceOf(name);
	const experiment = resources.experiments.find((one) => qualifiedName(one.metadata) === name);
	if (experiment === undefined || !mayRead(namespace)) {
		throw new WeirError("not-found", `no Experiment '${name.slice(0, 200)}'`, "see weir status");
	}
	const live = status.experiments[name];
	const service = findQualified(resources.services, serviceOf(experiment));
	const policyVerb = verb === "abort" ? "abort" : "promote";
	const begins = verb === "promote" && live !== undefined && isExposing(live.phase);
	const winner = begins ? (arm ?? onlyChallenger(experiment, live)) : null;
	const known = { resources, status };
	const unknown = winner && uncomparedWords(experiment, winner, promotedBefore(known, experiment));
	// The arm of a holdback that it ends stands in the status.
	const which = verb === "promote" ? (winner ?? arm ?? live?.promotion?.arm) : null;
	const meant = [
		...experiment.spec.arms.flatMap((one) => (one.name === which ? [`arm ${which}`] : [])),
		...(overrideGates ? ["overriding its gates"] : []),
		...(unknown === null ? [] : [`though ${unknown}`]),
		...(shutOut ? ["although callers lose access"] : []),
	];
	const effect = [`${verb} Experiment ${name}`, ...meant].join(", ");
	return {
		act:
			verb === "pause"
				? { verb, experiment: name }
				: {
						...{ verb, experiment: name, arm, reason },
						...(overrideGates ? { overrideGates } : {}),
						...(shutOut ? { shutOut } : {}),
					},
		needs: [{ verb: policyVerb, namespace }, ...(overrideGates ? [{ verb: "admin" as const, namespace }] : [])],
		governedBy: [namespace],
		reaches: [],
		// Stopping a ramp harms nobody, and may be urgent.
		requirement: verb === "pause" ? FREE : requirement(resources.approvalPolicies, policyVerb, [namespace]),
		effects: [effect],
		parts: [{ effect, resource: keyOf(experiment), namespaces: [namespace] }],
		// Not the allocation: a ramp goes on while people think.
		basis: {
			[keyOf(experiment)]: fingerprint(experiment.spec),
			[`status ${name}`]: fingerprint([live?.phase, live?.closedArms, live?.promotion, live?.hold]),
			// Some of the policies are named, and what they say is not: others approve that these callers are shut out and no others.
			// Nor which Variant it replaces: others approve that it is this one.
			...(verb === "promote" && service !== undefined ? { "default Variant": liveDefault(service, status) } : {}),
		},
	};
}

/** Which arm a promotion that names none is of; null: none, and it will be refused. */
function onlyChallenger(experiment: Experiment, status: ExperimentStatus | undefined): string | null {
	const [only = null, another] = status === undefined ? [] : openChallengers({ experiment, status });
	return another === undefined ? only : null;
}

const FREE: Requirement = { needs: 0, needsIn: {}, expireMs: Number.MAX_SAFE_INTEGER };

/** Namespaces that let such changes wait, of Services which the AccessPolicies among these name. */
function reachedBy(changed: readonly Resource[], policies: readonly ApprovalPolicy[]): readonly string[] {
	const named = changed
		.filter(({ kind }) => kind === "AccessPolicy")
		.flatMap(referencesOf)
		.filter(({ from, to }) => to.kind === "Service" && to.metadata.namespace !== from.metadata.namespace)
		.map(({ to }) => to.metadata.namespace);
	return [...new Set(named)].filter((namespace) => requirement(policies, "apply", [namespace]).needs > 0);
}

function unique(needs: readonly Need[]): readonly Need[] {
	return [...new Map(needs.map((need) => [`${need.verb} ${need.namespace}`, need])).values()];
}

export function namespacesIn({ needs, reaches }: Pick<Planned, "needs" | "reaches">): readonly string[] {
	return [...new Set([...needs.map(({ namespace }) => namespace), ...reaches])];
}

export function about(planned: Pick<Planned, "needs" | "reaches">, objects: readonly string[]) {
	return { namespaces: namespacesIn(planned), objects };
}

/** Whose access rules a rollback is about: one namespace's, or those of all that the caller may see. */
export function scopeOf({ namespace }: { readonly namespace: string | null }, mayRead: MayRead): Scope {
	return (one) => mayRead(one) && (namespace === null || one === namespace);
}
