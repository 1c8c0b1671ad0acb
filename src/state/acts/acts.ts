/**
 * What operators do: judged by the RoleBindings, held for a second person where an ApprovalPolicy says so, carried out
 * and written into the audit log in one transaction. Refused attempts are recorded too; a dry run changes nothing and
 * waits for nobody, but takes the same permission.
 */
import { WeirError } from "../../error.js";
import { AUDIT_PROBLEM_CHARS_MAX } from "../../limits.js";
import { resourcesOf } from "../../resources/kinds.js";
import { namespaceOf } from "../../resources/resource.js";
import type { Decision } from "../../rollout/decision.js";
import type { Caller } from "../api/caller.js";
import { visibleProblems } from "../api/visible.js";
import type { PolicyHistoryAnswer } from "../api/wire.js";
import {
	type ApprovalRequest,
	type AskedAct,
	type AskedWish,
	bothOf,
	fingerprint,
	isWish,
	restoredBy,
	type WaitingRequest,
	wantedIn,
	whyOf,
} from "../approvals/approval.js";
import { ApprovalShelf } from "../approvals/approvalShelf.js";
import { rulesAfter } from "../approvals/approvers.js";
import { type PersonRequest, personOutcome } from "../approvals/personRequest.js";
import { type ActCall, record } from "../audit/actRecord.js";
import { crossings } from "../audit/crossings.js";
import { approvedEffects, told } from "../consequences/unplaced.js";
import { ALL_NAMESPACES } from "../rights/permissions.js";
import type { Rights } from "../rights/rights.js";
import type { ApplyResult, Store } from "../store/store.js";
import type { Target } from "./deletion.js";
import { about, namespacesIn, type Planned, planPerson, planWish, type Sight, scopeOf } from "./plannedAct.js";
import type { WishPlan } from "./wishes.js";

export interface Pending {
	readonly outcome: "pending";
	readonly request: ApprovalRequest;
}

export interface Made {
	readonly revision: number;
	readonly decision: Decision;
}

/** A request as it stands now, ready to be carried out. */
export interface Prepared {
	readonly planned: Planned;
	/** Of a declaration; null = a person's verb. */
	readonly plan: WishPlan | null;
	/** Approvals that it takes, by namespace. */
	readonly needsIn: Readonly<Record<string, number>>;
}

export class Acts {
	readonly requests: ApprovalShelf;

	constructor(
		private readonly store: Store,
		readonly rights: Rights,
	) {
		this.requests = new ApprovalShelf(store.database);
	}

	/**
	 * Before anything of a declaration is read: of who may change nothing anywhere not even the body is taken.
	 * @param object what is not known yet, in the record
	 * @throws WeirError `permission-denied`, recorded
	 */
	demandSome(call: ActCall, verb: AskedWish["verb"], object: string): void {
		this.rights.demandSome(call, verb, object);
	}

	/**
	 * Before it is known what exactly a person wants of an Experiment: the least that its verb takes.
	 * @throws WeirError as `act` does for who may not
	 */
	demandVerb(call: ActCall, experiment: string, verb: PersonRequest["verb"]): void {
		this.demandSeen(call, experiment, verb);
		const planned = planPerson(this.#sight(call.caller), experiment, { verb, arm: null, reason: "" });
		this.rights.demand(call, planned.needs, verb, [`Experiment ${experiment}`]);
	}

	/**
	 * What lies in a namespace that the caller may not read is not there.
	 * @throws WeirError `not-found`, recorded
	 */
	demandSeen(call: ActCall, experiment: string, verb: PersonRequest["verb"] | "read"): void {
		const namespace = namespaceOf(experiment);
		if (this.rights.mayRead(call.caller)(namespace)) return;
		const title = experiment.slice(0, 200);
		const what = { verb, namespaces: [namespace.slice(0, 200)], objects: [`Experiment ${title}`] };
		this.rights.denyUnseen(call, what, new WeirError("not-found", `no Experiment '${title}'`, "see weir status"));
	}

	apply(
		call: ActCall,
		files: readonly { readonly name: string; readonly text: string }[],
		dryRun: boolean,
	): ApplyResult | Pending {
		this.rights.demandSome(call, "apply", `${files.length} ${files.length === 1 ? "file" : "files"}, unread`);
		const act: AskedAct = { verb: "apply", files };
		return this.#wish(call, act, dryRun);
	}

	/** @throws WeirError `not-found`, also for what the caller may not see. */
	delete(call: ActCall, resources: readonly Target[], dryRun: boolean): ApplyResult | Pending {
		const mayRead = this.rights.mayRead(call.caller);
		const hidden = resources.find(({ name }) => !mayRead(namespaceOf(name)));
		const [first] = resources;
		const more = resources.length > 1 ? ` and ${resources.length - 1} more` : "";
		const objects = `delete ${first?.kind} ${first?.name.slice(0, 200)}${more}`;
		if (hidden !== undefined) {
			const name = hidden.name.slice(0, 200);
			const what = {
				verb: "delete",
				namespaces: [namespaceOf(name)],
				objects: [`delete ${hidden.kind} ${name}${more}`],
			};
			const unseen = `no ${hidden.kind} '${name}'`;
			this.rights.denyUnseen(call, what, new WeirError("not-found", unseen, "see weir get"));
		}
		this.rights.demandSome(call, "delete", objects);
		return this.#wish(call, { verb: "delete", resources }, dryRun);
	}

	/**
	 * Whether others must approve the verb first.
	 * @throws WeirError as `act` does for who may not
	 */
	mustWait(call: ActCall, experiment: string, said: PersonRequest): boolean {
		const planned = this.#planPerson(call, experiment, said);
		this.rights.demand(call, planned.needs, said.verb, [`Experiment ${experiment}`]);
		return planned.requirement.needs > 0;
	}

	/** A person's verb. @throws WeirError `not-found`, also for what the caller may not see. */
	act(call: ActCall, experiment: string, said: PersonRequest): Made | Pending {
		const planned = this.#planPerson(call, experiment, said);
		// The record has the verb by itself.
		const objects = planned.effects.map((effect) => effect.slice(said.verb.length + 1));
		this.rights.demand(call, planned.needs, said.verb, objects);
		// What cannot be done is told to who asks, and leaves no record.
		const outcome = this.#outcome(experiment, said);
		if (planned.requirement.needs > 0) {
			// The arm is settled now.
			const arm = outcome.status.promotion?.arm ?? said.arm;
			const act = { ...planned.act, ...(said.verb === "promote" ? { arm } : {}) } as AskedAct;
			return this.#ask(call, { ...planned, act }, objects);
		}
		return this.store.atomically(() => {
			const made = this.store.act(experiment, said);
			this.store.audit.append(
				record(call, {
					...about(planned, objects),
					verb: said.verb,
					revision: this.store.current.revision,
					after: made.revision,
					result: "done",
					why: said.reason,
				}),
			);
			return made;
		});
	}

	/**
	 * What the request would do now, and how many approvals it needs by the policies of now, never fewer than when it
	 * was asked for.
	 * @throws WeirError `conflict` where what it would change is not as it was, or who asked may not do it any more.
	 */
	prepare(call: ActCall, request: WaitingRequest): Prepared {
		const { act, askedBy } = request;
		const sight = this.#sight(askedBy);
		const { resources } = sight;
		const plan = isWish(act) ? this.#wishPlan(act, call.nowMs) : null;
		const said = act as Exclude<AskedAct, AskedWish>;
		const planned =
			isWish(act) && plan !== null ? planWish(sight, act, plan, call.nowMs) : planPerson(sight, said.experiment, said);
		if (fingerprint(planned.basis) !== fingerprint(request.basis))
			throw changedSince("what it would change has changed");
		if (fingerprint(approvedEffects(planned.effects)) !== fingerprint(approvedEffects(request.effects)))
			throw changedSince("it would do something else now");
		if (plan !== null && plan.problems.length > 0) throw changedSince("it would not be accepted any more");
		if (plan !== null) this.rights.demandApprovers(rulesAfter(resources, plan));
		if (!planned.needs.every((need) => this.rights.may(askedBy, need))) {
			throw changedSince(`${askedBy.subject} may not do it any more`);
		}
		return { planned, plan, needsIn: bothOf(request, planned.requirement) };
	}

	/** Carries out what a request asked for, in the transaction of its last approval. @returns the revision after it */
	carryOut(call: ActCall, request: WaitingRequest, { planned, plan }: Prepared, approvedBy: readonly string[]): number {
		const { act, askedBy } = request;
		const by = askedBy.subject;
		const revision = this.store.current.revision;
		let after = revision;
		if (plan !== null) {
			const result = this.store.realise(plan, { by, dryRun: false, nowMs: call.nowMs, restored: restoredBy(act) });
			if (result.outcome === "applied") after = result.revision;
		} else if (!isWish(act)) {
			const { experiment, ...said } = act;
			const meant = { ...said, by, nowMs: call.nowMs, approvedBy };
			after = this.store.act(experiment, meant).revision;
		}
		this.store.audit.appendWhole(
			record(call, {
				...about(planned, request.effects),
				verb: act.verb,
				revision,
				after,
				result: "done",
				why: whyOf(act),
				request: request.id,
				askedBy: by,
				approvedBy,
			}),
		);
		return after;
	}

	/** Namespaces that want approvals for it, as it was asked for or by the policies of now. */
	approvedIn({ needsIn, underPolicies }: ApprovalRequest): readonly string[] {
		const now = wantedIn(this.store.current.resources.approvalPolicies, underPolicies);
		return [...new Set([...Object.keys(needsIn), ...now])];
	}

	/**
	 * The access rules of an earlier revision, as one change: of a namespace, or of all that the caller may see.
	 * @param to null = before the last change
	 * @throws WeirError `failed-precondition` where that is not kept
	 */
	rollback(call: ActCall, to: number | null, namespace: string | null, dryRun: boolean): ApplyResult | Pending {
		const where = namespace === null ? "" : ` of namespace ${namespace}`;
		this.rights.demandSome(call, "rollback", `access rules${where}`);
		const scope = scopeOf({ namespace }, this.rights.mayRead(call.caller));
		const act: Extract<AskedWish, { verb: "rollback" }> = {
			verb: "rollback",
			namespace,
			...this.store.restoration(to, scope),
		};
		const result = this.#wish(call, act, dryRun);
		const { kept = [], leftOut = [] } = act;
		if (result.outcome !== "applied") return result;
		return { ...result, ...(kept.length > 0 ? { kept } : {}), ...(leftOut.length > 0 ? { leftOut } : {}) };
	}

	/** Changes of access rules that can be rolled back, as the caller may see them, and of whom some were dropped. */
	policyHistory(caller: Caller, namespace: string | null): Omit<PolicyHistoryAnswer, "partial"> {
		const scope = scopeOf({ namespace }, this.rights.mayRead(caller));
		const dropped = this.store.policies.dropped(scope);
		return { changes: this.store.policies.list(scope), ...(dropped.length > 0 ? { dropped } : {}) };
	}

	#wishPlan(act: AskedWish, nowMs: number): WishPlan {
		switch (act.verb) {
			case "apply":
				return this.store.planApply(act.files, nowMs);
			case "delete":
				return this.store.planDelete(act.resources);
			case "rollback":
				return this.store.planRestore(act, nowMs);
		}
	}

	#wish(call: ActCall, act: AskedWish, dryRun: boolean): ApplyResult | Pending {
		const plan = this.#wishPlan(act, call.nowMs);
		const planned = planWish(this.#sight(call.caller), act, plan, call.nowMs);
		const { revision, resources } = this.store.current;
		this.rights.demand(call, planned.needs, act.verb, planned.effects);
		if (plan.problems.length > 0) {
			const problems = visibleProblems(plan, resourcesOf(resources), this.rights.mayRead(call.caller));
			if (!dryRun) {
				const crossing = crossings(plan, resourcesOf(resources), namespacesIn(planned));
				const [first] = crossing;
				const more = crossing.length > 1 ? `, and ${crossing.length - 1} more of other namespaces` : "";
				const count = `${problems.length} problem${problems.length === 1 ? "" : "s"} in the declaration`;
				const why = first === undefined ? count : `${count}: ${first.slice(0, AUDIT_PROBLEM_CHARS_MAX)}${more}`;
				const made = record(call, {
					...about(planned, planned.effects),
					verb: act.verb,
					revision,
					result: "refused",
					why,
				});
				this.store.atomically(() => this.store.audit.append(made));
			}
			return { outcome: "refused", problems };
		}
		this.#demandApprovers(call, act, planned, plan);
		const idle = plan.upserts.length === 0 && plan.deletions.length === 0;
		const approvals = idle ? 0 : planned.requirement.needs;
		const mayRead = this.rights.mayRead(call.caller);
		const beside = { ...told("unplaced", plan.unplaced, mayRead), ...told("opened", plan.opened, mayRead) };
		if (dryRun || idle)
			return { outcome: "applied", revision, changes: plan.changes, ...beside, ...(dryRun ? { approvals } : {}) };
		if (planned.requirement.needs > 0) return this.#ask(call, planned, planned.effects);
		return this.store.atomically(() => {
			const by = call.caller.subject;
			const result = this.store.realise(plan, { by, dryRun: false, nowMs: call.nowMs, restored: restoredBy(act) });
			const after = result.outcome === "applied" ? result.revision : revision;
			this.store.audit.appendWhole(
				record(call, {
					...about(planned, planned.effects),
					verb: act.verb,
					revision,
					after,
					result: "done",
					why: whyOf(act),
				}),
			);
			return { ...result, ...beside };
		});
	}

	/** @throws WeirError `failed-precondition`, recorded, where nobody could approve what comes after it. */
	#demandApprovers(call: ActCall, act: AskedWish, planned: Planned, plan: WishPlan): void {
		const { revision, resources } = this.store.current;
		try {
			this.rights.demandApprovers(rulesAfter(resources, plan));
		} catch (thrown) {
			const why = WeirError.from(thrown).message;
			const refused = { verb: act.verb, revision, result: "refused", why } as const;
			const made = record(call, { ...about(planned, planned.effects), ...refused });
			this.store.atomically(() => this.store.audit.append(made));
			throw thrown;
		}
	}

	#planPerson(call: ActCall, experiment: string, said: PersonRequest): Planned {
		this.demandSeen(call, experiment, said.verb);
		return planPerson(this.#sight(call.caller), experiment, said);
	}

	#sight(caller: Caller): Sight {
		const isPlatformAdmin = this.rights.may(caller, { verb: "admin", namespace: ALL_NAMESPACES });
		return { ...this.store.current, mayRead: this.rights.mayRead(caller), isPlatformAdmin };
	}

	#outcome(name: string, said: PersonRequest) {
		return personOutcome(this.store.current, this.store.experiment(name), said);
	}

	#ask(call: ActCall, planned: Planned, objects: readonly string[]): Pending {
		const { act, governedBy, effects, parts, basis } = planned;
		if (act.verb === "pause") throw new WeirError("internal", "a pause waits for nobody");
		const { revision } = this.store.current;
		const request = this.store.atomically(() => {
			const what = { act, askedBy: call.caller, namespaces: namespacesIn(planned), governedBy };
			const asked = { ...what, effects, parts, revision, basis };
			const made = this.requests.ask(asked, planned.requirement, call.nowMs);
			this.store.audit.append(
				record(call, {
					...about(planned, objects),
					verb: act.verb,
					revision,
					result: "pending",
					request: made.id,
					why: whyOf(act),
				}),
			);
			return made;
		});
		return { outcome: "pending", request };
	}
}

function changedSince(why: string): WeirError {
	return new WeirError("conflict", `the request is void: ${why}`, "ask again");
}
