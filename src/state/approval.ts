/**
 * Acts that others must approve before they happen, kept with their exact content and with what they would change as it
 * stood. Decisions: an apply, a delete and a rollback fall under the verb apply; promote and resume under promote; abort under
 * abort. An AccessPolicy that names another namespace's Service falls under that namespace's policies too: a grant gives
 * a say, not a way around them. Each namespace that lets it wait wants its own people's approvals, whoever they are
 * elsewhere; who may approve in several counts in each. A pause, what statistics decide, and deletions that only take access away
 * (takenAway.ts) never wait. Changes to RoleBindings and ApprovalPolicies wait wherever any
 * policy covers one of their namespaces, whatever its verbs: else one person could make a second one, or take the
 * policy away, and then act alone.
 * The platform (`*`) is above its namespaces: what concerns all of them falls under the policies of `*` alone, and so
 * do those changes by its admins, in whatever namespace. Else a namespace's admin could lock everybody out, by a policy
 * that asks for people who do not exist. A policy of `*` binds the platform's admins too.
 */
import { createHash, randomBytes } from "node:crypto";
import { WeirError } from "../error.js";
import {
	APPROVAL_REQUEST_KEPT_MS,
	APPROVAL_REQUESTS_PENDING_MAX,
	APPROVAL_REQUESTS_PER_SUBJECT_MAX,
} from "../limits.js";
import type { ApprovalPolicy } from "../resources/resource.js";
import { canonicalJson } from "../rollout/canonicalJson.js";
import type { Caller } from "./caller.js";
import type { StateDatabase } from "./database.js";
import type { Target } from "./deletion.js";
import { ALL_NAMESPACES } from "./permissions.js";
import type { PersonVerb } from "./personRequest.js";
import type { Restoration } from "./policyHistory.js";

/** Records that an approval may leave: itself, and what it lets happen. */
export const APPROVAL_RECORDS = 2;

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

/** One effect, and who it is told to. */
export interface Part {
	readonly effect: string;
	/** Of the resource that it changes, as `keyOf` has it; null = it is about none alone. */
	readonly resource: string | null;
	/** Who may read one of them is told; empty = everyone who may approve. */
	readonly namespaces: readonly string[];
}

export interface ApprovalRequest {
	readonly id: string;
	readonly act: AskedAct;
	readonly askedBy: Caller;
	readonly askedAtMs: number;
	readonly expiresAtMs: number;
	/** Where it acts. */
	readonly namespaces: readonly string[];
	/** Whose policies it falls under by what it changes; those that it only reaches are left out, `*` = the platform's. */
	readonly governedBy: readonly string[];
	/** `created Service team/x`, `promote Experiment trial`. */
	readonly effects: readonly string[];
	/** The effects, each with who is told of it. */
	readonly parts: readonly Part[];
	/** Of the state when it was asked for. */
	readonly revision: number;
	/** What it would change, as it stood: SHA-256 by name. */
	readonly basis: Readonly<Record<string, string>>;
	/** Approvals that it needed when it was asked for: the most that one namespace wants. */
	readonly needs: number;
	/** By namespace: so many people who may approve there. */
	readonly needsIn: Readonly<Record<string, number>>;
	readonly approvals: readonly { readonly by: Caller; readonly atMs: number }[];
	readonly state: "pending" | "done" | "rejected" | "void";
	/** Why it is rejected or void; empty for the others. */
	readonly why: string;
	readonly endedAtMs: number | null;
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

const isPlatforms = ({ governedBy }: Pick<ApprovalRequest, "governedBy">): boolean =>
	governedBy.includes(ALL_NAMESPACES);

/** The requests in the state file. What writes runs inside the caller's transaction. */
export class ApprovalShelf {
	readonly #database: StateDatabase;

	constructor(database: StateDatabase) {
		this.#database = database;
	}

	/**
	 * @throws WeirError `resource-exhausted` where too many wait already: in all, of who asks, or of a namespace, which leaves as
	 *   much room as it takes
	 */
	ask(
		asked: Pick<
			ApprovalRequest,
			"act" | "askedBy" | "namespaces" | "governedBy" | "effects" | "parts" | "revision" | "basis"
		>,
		{ needs, needsIn, expireMs }: Requirement,
		nowMs: number,
	): ApprovalRequest {
		this.#prune(nowMs);
		const waiting = this.all(nowMs).filter(({ state }) => state === "pending");
		const own = waiting.filter(({ askedBy }) => askedBy.subject === asked.askedBy.subject);
		// Many namespaces together can fill their shelf; who may free them has another.
		const beside = waiting.filter((one) => isPlatforms(one) === isPlatforms(asked));
		if (beside.length >= APPROVAL_REQUESTS_PENDING_MAX || own.length >= APPROVAL_REQUESTS_PER_SUBJECT_MAX) {
			throw new WeirError("resource-exhausted", "too many requests wait for approval", "see weir requests");
		}
		const room = APPROVAL_REQUESTS_PENDING_MAX - beside.length;
		const full = asked.governedBy.find(
			(namespace) => beside.filter(({ governedBy }) => governedBy.includes(namespace)).length >= room,
		);
		if (full !== undefined) {
			const where = full === ALL_NAMESPACES ? "all namespaces" : `namespace ${full}`;
			throw new WeirError("resource-exhausted", `too many requests of ${where} wait for approval`, "see weir requests");
		}
		const request: ApprovalRequest = {
			...asked,
			id: randomBytes(8).toString("hex"),
			askedAtMs: nowMs,
			expiresAtMs: Math.min(nowMs + expireMs, Number.MAX_SAFE_INTEGER),
			needs,
			needsIn,
			approvals: [],
			state: "pending",
			why: "",
			endedAtMs: null,
		};
		this.put(request);
		return request;
	}

	put(request: ApprovalRequest): void {
		this.#database.requests.putSync(request.id, request);
	}

	/** As it stands at that moment: one whose time is over is void. */
	get(id: string, nowMs: number): ApprovalRequest | null {
		const found = /^[0-9a-f]{16}$/.test(id) ? this.#database.requests.get(id) : undefined;
		return found === undefined ? null : standing(found, nowMs);
	}

	/** Oldest first. */
	all(nowMs: number): readonly ApprovalRequest[] {
		return [...this.#database.requests.getRange()]
			.map(({ value }) => standing(value, nowMs))
			.sort((a, b) => a.askedAtMs - b.askedAtMs || (a.id < b.id ? -1 : 1));
	}

	#prune(nowMs: number): void {
		for (const { id, endedAtMs } of this.all(nowMs)) {
			if (endedAtMs !== null && endedAtMs < nowMs - APPROVAL_REQUEST_KEPT_MS) this.#database.requests.removeSync(id);
		}
	}
}

/** As of now; one that an earlier Weir kept is of all its namespaces, and told whole or not at all. */
function standing(kept: ApprovalRequest, nowMs: number): ApprovalRequest {
	const {
		needsIn = Object.fromEntries(kept.namespaces.map((one) => [one, kept.needs])),
		parts = [],
		governedBy = kept.namespaces,
	}: Partial<Pick<ApprovalRequest, "needsIn" | "parts" | "governedBy">> = kept;
	const request = { ...kept, needsIn, parts, governedBy };
	if (request.state !== "pending" || nowMs < request.expiresAtMs) return request;
	return { ...request, state: "void", why: "its time is over", endedAtMs: request.expiresAtMs };
}
