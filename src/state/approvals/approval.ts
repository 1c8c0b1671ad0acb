/**
 * Acts that others must approve before they happen: what they are, and what policies ask for them. Decisions: an apply,
 * a delete and a rollback fall under the verb apply; promote and resume under promote; abort under abort; what a
 * declaration does beside its documents (plannedAct.ts) under the verb that would do it too. An
 * AccessPolicy that names another namespace's Service falls under that namespace's policies too: a grant gives a say,
 * not a way around them. Each namespace that lets it wait wants its own people's approvals, whoever they are elsewhere;
 * who may approve in several counts in each. A pause, what statistics decide, and deletions that only take access away
 * (takenAway.ts) never wait. Changes to RoleBindings and ApprovalPolicies wait wherever any policy covers one of their
 * namespaces, whatever its verbs: else one person could make a second one, or take the policy away, and then act alone.
 * The platform (`*`) is above its namespaces: what concerns all of them falls under the policies of `*` alone, and so
 * do those changes by its admins, in whatever namespace. Else a namespace's admin could lock everybody out, by a policy
 * that asks for people who do not exist. A policy of `*` binds the platform's admins too.
 */
import { createHash } from "node:crypto";
import { canonicalJson } from "../../resources/canonicalJson.js";
import type { ApprovalPolicy, Kind } from "../../resources/resource.js";
import type { Target } from "../acts/deletion.js";
import type { Caller } from "../api/caller.js";
import type { Restoration } from "../history/policyHistory.js";
import { ALL_NAMESPACES } from "../rights/permissions.js";
import type { PersonVerb } from "./personRequest.js";

/** Changes of the declaration. */
export type AskedWish =
	| { readonly verb: "apply"; readonly files: readonly { readonly name: string; readonly text: string }[] }
	/** The revision to go back to, and what that came to when it was asked for. */
	| ({ readonly verb: "rollback"; readonly namespace: string | null } & Restoration)
	| { readonly verb: "delete"; readonly resources: readonly Target[] };

/** What was asked for, to the letter. */
export type AskedAct =
	| AskedWish
	| {
			readonly verb: Exclude<PersonVerb, "pause">;
			readonly experiment: string;
			readonly arm: string | null;
			readonly reason: string;
			readonly overrideGates?: boolean;
			readonly shutOut?: boolean;
	  };

export function isWish(act: AskedAct): act is AskedWish {
	return !("experiment" in act);
}

/** The revision whose access rules it brings back; null = none. */
export function restoredBy(act: AskedAct): number | null {
	return act.verb === "rollback" ? act.revision : null;
}

/** In the person's words, or what tells more than the verb. */
export function whyOf(act: AskedAct): string {
	if (act.verb === "rollback") return `to the access rules of revision ${act.revision}`;
	return isWish(act) ? "" : act.reason;
}

/** SHA-256 of what it does, whatever the reason that is given for it. */
export function sameActAs(act: AskedAct): string {
	return fingerprint(isWish(act) ? act : { ...act, reason: "" });
}

/** One effect, and who it is told to. */
export interface Part {
	readonly effect: string;
	/** Of the resource that it changes, as `keyOf` has it; null = it is about none alone. */
	readonly resource: string | null;
	/** Who may read one of them is told; empty = everyone who may approve. */
	readonly namespaces: readonly string[];
}

/** What is kept of every request when it is over, and told in lists. */
export interface RequestHead {
	readonly id: string;
	readonly verb: AskedAct["verb"];
	readonly askedBy: Caller;
	readonly askedAtMs: number;
	readonly expiresAtMs: number;
	/** Where it acts. */
	readonly namespaces: readonly string[];
	/** Whose policies it falls under by what it changes; without those that it only reaches; `*` = the platform's. */
	readonly governedBy: readonly string[];
	/** `created Service team/x`, `promote Experiment trial`; the first APPROVAL_HEAD_EFFECTS_MAX. */
	readonly effects: readonly string[];
	/** In the words of who asked; empty or left out = none. Of a declaration its text says it. */
	readonly reason?: string;
	/** By it the same act is known; left out in requests of earlier builds. */
	readonly sameAct?: string;
	/** Of all. */
	readonly effectCount: number;
	/** The effects, each with who is told of it. */
	readonly parts: readonly Part[];
	/** Of the state when it was asked for. */
	readonly revision: number;
	/** Approvals that it needed when it was asked for: the most that one namespace wants. */
	readonly needs: number;
	/** By namespace: so many people who may approve there. */
	readonly needsIn: Readonly<Record<string, number>>;
	readonly underPolicies: UnderPolicies;
	readonly approvals: readonly { readonly by: Caller; readonly atMs: number }[];
	readonly state: "pending" | "done" | "rejected" | "void";
	/** The revision that it made; left out where it made none, or an earlier Weir carried it out. */
	readonly made?: number;
	/** Why it is rejected or void; empty for the others. */
	readonly why: string;
	readonly endedAtMs: number | null;
	/** Of the content of a declaration, as long as it is kept; 0 of a person's verb, which is small. */
	readonly bytes: number;
}

/** What is kept while it waits, and of what was done for a while after. */
export interface RequestContent {
	readonly act: AskedAct;
	/** All of them. */
	readonly effects: readonly string[];
	readonly parts: readonly Part[];
	/** What it would change, as it stood: SHA-256 by name. */
	readonly basis: Readonly<Record<string, string>>;
}

/** As it waits: with all of its content. */
export type WaitingRequest = RequestHead & RequestContent;

/** act null = not read, or not kept: it did not happen, or it was too long ago. */
export type ApprovalRequest = RequestHead & Pick<RequestContent, "basis"> & { readonly act: AskedAct | null };

/** Namespaces whose policies, also those to come, may let it wait, by the verb that they would ask about. */
export interface UnderPolicies {
	readonly apply: readonly string[];
	readonly promote: readonly string[];
	readonly abort: readonly string[];
	/** Whatever the verb. */
	readonly guarded: readonly string[];
}

/**
 * Rather one namespace too many, whose approvals do not count, than one without whose approvals it could never happen:
 * how many it takes is worked out when it would happen.
 */
export function underPolicies({
	act,
	governedBy,
	parts,
}: Pick<WaitingRequest, "act" | "governedBy" | "parts">): UnderPolicies {
	const none: UnderPolicies = { apply: [], promote: [], abort: [], guarded: [] };
	if (!isWish(act)) return { ...none, [act.verb === "abort" ? "abort" : "promote"]: governedBy };
	const of = (...kinds: readonly (Kind | null)[]) =>
		parts.filter(({ resource }) => kinds.some((kind) => kind === (resource?.split(" ", 1)[0] ?? null)));
	const namespaces = (some: readonly Part[]) => some.flatMap((one) => one.namespaces);
	const platform = governedBy.filter((one) => one === ALL_NAMESPACES);
	const rules = of("RoleBinding", "ApprovalPolicy");
	const beside = [...new Set(namespaces(of(null)))];
	return {
		apply: [...new Set([...governedBy, ...namespaces(of("AccessPolicy"))])],
		promote: beside,
		abort: beside,
		// Who may change rules in `*` does it as the platform.
		guarded: rules.length === 0 ? [] : platform.length > 0 ? platform : governedBy,
	};
}

/** Namespaces that want approvals for it by these policies. */
export function wantedIn(policies: readonly ApprovalPolicy[], under: UnderPolicies): readonly string[] {
	const verbs = ["apply", "promote", "abort"] as const;
	return verbs.flatMap((verb) =>
		Object.keys(requirement(policies, verb, under[verb], verb === "apply" ? under.guarded : []).needsIn),
	);
}

/** What an act takes under the policies; needs 0 = it may happen at once. */
export interface Requirement {
	readonly needs: number;
	/** By namespace; those that want none are left out. */
	readonly needsIn: Readonly<Record<string, number>>;
	readonly expireMs: number;
}

/**
 * @param namespaces where it acts
 * @param guarded where it changes RoleBindings or ApprovalPolicies: policies of every verb ask there
 */
export function requirement(
	policies: readonly ApprovalPolicy[],
	verb: "apply" | "promote" | "abort",
	namespaces: readonly string[],
	guarded: readonly string[] = [],
): Requirement {
	const asked = [...new Set([...namespaces, ...guarded])].map((namespace) => {
		const whatever = guarded.includes(namespace);
		const own = policies.filter(
			({ spec }) => covers(spec.namespaces, namespace) && (whatever || spec.verbs.includes(verb)),
		);
		return { namespace, own };
	});
	const found = asked.flatMap(({ own }) => own);
	const needsIn = asked.flatMap(({ namespace, own }) =>
		own.length === 0 ? [] : [[namespace, Math.max(...own.map(({ spec }) => spec.approvals))] as const],
	);
	return {
		needs: Math.max(0, ...found.map(({ spec }) => spec.approvals)),
		needsIn: Object.fromEntries(needsIn),
		expireMs: Math.min(Number.MAX_SAFE_INTEGER, ...found.map(({ spec }) => spec.expireMs)),
	};
}

/** Whether promotions in the namespace wait for others. */
export function promotionsWait(policies: readonly ApprovalPolicy[], namespace: string): boolean {
	return requirement(policies, "promote", [namespace]).needs > 0;
}

/** What both take. */
export function bothOf(
	one: Pick<Requirement, "needsIn">,
	other: Pick<Requirement, "needsIn">,
): Readonly<Record<string, number>> {
	const names = [...new Set([...Object.keys(one.needsIn), ...Object.keys(other.needsIn)])];
	return Object.fromEntries(names.map((name) => [name, Math.max(one.needsIn[name] ?? 0, other.needsIn[name] ?? 0)]));
}

function covers(namespaces: readonly string[], namespace: string): boolean {
	return namespaces.includes(ALL_NAMESPACES) || namespaces.includes(namespace);
}

/** SHA-256 of anything that is JSON; `absent` of nothing. */
export function fingerprint(value: unknown): string {
	return value === undefined ? "absent" : createHash("sha256").update(canonicalJson(value)).digest("hex");
}
