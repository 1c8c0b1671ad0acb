/**
 * Operations of operators. Each is authorised, waits for approval if an ApprovalPolicy requires it, and is committed with its
 * audit record in one transaction. Refused attempts are recorded too. A dry run changes nothing and needs no approval, but
 * needs the same rights.
 */

import type { Decision, Outcome } from "../../decide/rollout/decision.js";
import { resourcesOf } from "../../declare/resources/kinds.js";
import { namespaceOf } from "../../declare/resources/resource.js";
import { WeirError } from "../../error.js";
import { demandApprovers } from "../approvals/approvers.js";
import type { Executor, Prepared } from "../approvals/executor.js";
import { type PersonRequest, personOutcome } from "../approvals/personRequest.js";
import {
	type ApprovalRequest,
	type ChangeOperation,
	isChange,
	type Operation,
	type PersonOperation,
	reasonOf,
	type WaitingRequest,
} from "../approvals/request.js";
import { RequestStore } from "../approvals/requestStore.js";
import { type Authorisation, combined, mostNeeded } from "../approvals/required.js";
import { type AuditedCall, record } from "../audit/actRecord.js";
import type { Caller } from "../callers/caller.js";
import type { HistoryEntry, SourceFile, Target } from "../changes/change.js";
import type { ApplyResult, ChangeSet } from "../changes/changeSet.js";
import type { Scope } from "../state/history/history.js";
import { ALL_NAMESPACES } from "../state/rights/permissions.js";
import type { Rights } from "../state/rights/rights.js";
import type { Store } from "../state/store/store.js";
import { type Asker, authoriseChange, authorisePerson } from "./authorise.js";
import { visibleProblems } from "./visibleProblems.js";

export interface Pending {
	readonly outcome: "pending";
	readonly request: ApprovalRequest;
}

export interface Made {
	readonly revision: number;
	readonly decision: Decision;
}

export class Operations implements Executor {
	readonly requests: RequestStore;

	constructor(
		private readonly store: Store,
		readonly rights: Rights,
	) {
		this.requests = new RequestStore(store.database);
	}

	apply(call: AuditedCall, files: readonly SourceFile[], dryRun: boolean): ApplyResult | Pending {
		this.rights.demandSome(call, "apply", `${files.length} ${files.length === 1 ? "file" : "files"}, unread`);
		return this.#change(call, { verb: "apply", files, deletions: [] }, dryRun);
	}

	/** @throws WeirError `not-found`, also for a resource that the caller may not read */
	delete(call: AuditedCall, deletions: readonly Target[], dryRun: boolean): ApplyResult | Pending {
		const mayRead = this.rights.mayRead(call.caller);
		const hidden = deletions.find(({ name }) => !mayRead(namespaceOf(name)));
		if (hidden !== undefined) this.#denyUnseen(call, "delete", hidden.kind, hidden.name, "see weir get");
		const [first] = deletions;
		const more = deletions.length > 1 ? ` and ${deletions.length - 1} more` : "";
		this.rights.demandSome(call, "delete", `${first?.kind} ${first?.name.slice(0, 200)}${more}`);
		return this.#change(call, { verb: "delete", files: [], deletions }, dryRun);
	}

	/**
	 * Restores the resources of a namespace, or of all readable namespaces, to a revision, as an ordinary change.
	 * @throws WeirError as `History.rollback` does
	 */
	rollback(call: AuditedCall, to: number, namespace: string | null, dryRun: boolean): ApplyResult | Pending {
		this.rights.demandSome(call, "rollback", `to revision ${to}`);
		const change = this.store.rollbackTo(to, this.#scope(call.caller, namespace));
		return this.#change(call, { verb: "rollback", to, ...change }, dryRun);
	}

	/** Newest first, as far as the caller may read it. */
	history(caller: Caller, namespace: string | null): readonly HistoryEntry[] {
		return this.store.history.list(this.#scope(caller, namespace));
	}

	/** One change of the declaration, in five steps; the first three are pure (applyPlan.ts), so is the fourth (authorise.ts). */
	#change(call: AuditedCall, operation: ChangeOperation, dryRun: boolean): ApplyResult | Pending {
		// 1 to 3. Parse, check, diff.
		const changeSet = this.store.changeSet(operation, call.nowMs);

		// 4. Authorise. Problems are shown only to callers with the rights for the change.
		const authorisation = authoriseChange(this.#asker(call.caller), changeSet);
		const { needs, effects, approvals } = authorisation;
		this.rights.demand(call, needs, operation.verb, effects);
		if (changeSet.problems.length > 0) return this.#refused(call, operation, changeSet, authorisation, dryRun);
		this.#demandApprovers(call, operation, changeSet, authorisation);
		const { revision } = this.store.current;
		const isIdle = changeSet.upserts.length === 0 && changeSet.deletions.length === 0;
		const needed = isIdle ? 0 : mostNeeded(approvals);
		if (dryRun || isIdle)
			return { outcome: "applied", revision, changes: changeSet.changes, ...(dryRun ? { approvals: needed } : {}) };
		if (needed > 0) return this.#ask(call, operation, authorisation, effects);

		// 5. Commit, with the audit record in the same transaction.
		return this.store.atomically(() => {
			const result = this.#commit(call, operation, changeSet);
			const after = result.outcome === "applied" ? result.revision : revision;
			this.#record(call, operation, authorisation, { revision, after, result: "done" });
			return result;
		});
	}

	#commit(call: AuditedCall, { to }: ChangeOperation, changeSet: ChangeSet, by = call.caller.subject): ApplyResult {
		return this.store.commit(changeSet, { by, dryRun: false, nowMs: call.nowMs, rolledBackTo: to ?? null });
	}

	#refused(
		call: AuditedCall,
		operation: ChangeOperation,
		changeSet: ChangeSet,
		authorisation: Authorisation,
		dryRun: boolean,
	): ApplyResult {
		const { revision, resources } = this.store.current;
		const count = changeSet.problems.length;
		const why = `${count} problem${count === 1 ? "" : "s"} in the declaration`;
		if (!dryRun) this.#recordRefused(call, operation, authorisation, revision, why);
		const mayRead = this.rights.mayRead(call.caller);
		return { outcome: "refused", problems: visibleProblems(changeSet, resourcesOf(resources), mayRead) };
	}

	/** @throws WeirError `failed-precondition`, recorded, if no one could approve the next change */
	#demandApprovers(
		call: AuditedCall,
		operation: ChangeOperation,
		changeSet: ChangeSet,
		authorisation: Authorisation,
	): void {
		try {
			this.#demandApproversAfter(changeSet);
		} catch (error) {
			const { revision } = this.store.current;
			this.#recordRefused(call, operation, authorisation, revision, WeirError.from(error).message);
			throw error;
		}
	}

	/**
	 * Checks the least right that the verb needs, before the body of the request is read.
	 * @throws WeirError `not-found` or `permission-denied`, recorded
	 */
	demandVerb(call: AuditedCall, experiment: string, verb: PersonRequest["verb"]): void {
		this.#authorisePerson(call, experiment, { verb, arm: null });
	}

	/** @throws WeirError `not-found`, recorded, also for an Experiment that the caller may not read */
	demandSeen(call: AuditedCall, experiment: string, verb: PersonRequest["verb"] | "read"): void {
		if (this.rights.mayRead(call.caller)(namespaceOf(experiment))) return;
		this.#denyUnseen(call, verb, "Experiment", experiment, "see weir status");
	}

	/** Whether others must approve the verb first. @throws WeirError as `act` does for a caller who may not */
	mustWait(call: AuditedCall, experiment: string, asked: PersonRequest): boolean {
		return mostNeeded(this.#authorisePerson(call, experiment, asked).approvals) > 0;
	}

	/** A person's verb. @throws WeirError `not-found`, also for an Experiment that the caller may not read */
	act(call: AuditedCall, experiment: string, asked: PersonRequest): Made | Pending {
		this.#authorisePerson(call, experiment, asked);
		// An impossible operation is not recorded.
		const outcome = this.#outcome(experiment, asked);
		const arm = asked.verb === "promote" ? (outcome.status.promotion?.arm ?? asked.arm) : null;
		const { verb, reason, overrideGates, shutOut } = asked;
		const operation: PersonOperation = {
			...{ verb, experiment, arm, reason },
			...(overrideGates ? { overrideGates } : {}),
			...(shutOut ? { shutOut } : {}),
		};
		const authorisation = authorisePerson(this.store.current, experiment, operation);
		// The record has the verb in its own field.
		const objects = authorisation.effects.map((effect) => effect.slice(verb.length + 1));
		if (mostNeeded(authorisation.approvals) > 0) return this.#ask(call, operation, authorisation, objects);
		const { revision } = this.store.current;
		return this.store.atomically(() => {
			const made = this.store.act(experiment, asked.by, asked.nowMs, outcome);
			const done = { ...authorisation, effects: objects };
			this.#record(call, operation, done, { revision, after: made.revision, result: "done" });
			return made;
		});
	}

	prepare(call: AuditedCall, { operation, askedBy, ...request }: WaitingRequest): Prepared {
		const changeSet = isChange(operation) ? this.store.changeSet(operation, call.nowMs) : null;
		const authorisation =
			isChange(operation) && changeSet !== null
				? authoriseChange(this.#asker(askedBy), changeSet)
				: authorisePerson(this.store.current, (operation as PersonOperation).experiment, operation as PersonOperation);
		const { needs, fingerprints, approvals } = authorisation;
		const names = new Set([...Object.keys(request.fingerprints), ...Object.keys(fingerprints)]);
		const changed = [...names].find((name) => request.fingerprints[name] !== fingerprints[name]);
		if (changed !== undefined) throw voidBecause(`${changed} has changed since revision ${request.revision}`);
		if (changeSet !== null && changeSet.problems.length > 0) throw voidBecause("it would not be accepted any more");
		if (changeSet !== null) this.#demandApproversAfter(changeSet);
		if (!needs.every((need) => this.rights.may(askedBy, need)))
			throw voidBecause(`${askedBy.subject} may not do it any more`);
		const { needsIn } = combined([approvals, { needsIn: request.needsIn, expireMs: approvals.expireMs }]);
		return { authorisation, changeSet, needsIn };
	}

	carryOut(call: AuditedCall, request: WaitingRequest, prepared: Prepared, approvedBy: readonly string[]): number {
		const { operation, askedBy, id } = request;
		const { revision } = this.store.current;
		let after = revision;
		if (isChange(operation) && prepared.changeSet !== null) {
			const result = this.#commit(call, operation, prepared.changeSet, askedBy.subject);
			if (result.outcome === "applied") after = result.revision;
		} else if (!isChange(operation)) {
			const { experiment, ...asked } = operation;
			const by = askedBy.subject;
			const { nowMs } = call;
			const outcome = this.#outcome(experiment, { ...asked, by, nowMs, approvedBy });
			after = this.store.act(experiment, by, nowMs, outcome).revision;
		}
		const done = { revision, after, result: "done", request: id, askedBy: askedBy.subject, approvedBy } as const;
		this.#record(call, operation, prepared.authorisation, done);
		return after;
	}

	#outcome(experiment: string, asked: PersonRequest): Outcome {
		return personOutcome(this.store.current, this.store.experiment(experiment), asked);
	}

	#demandApproversAfter({ after }: ChangeSet): void {
		demandApprovers(this.rights.permissions, this.store.current.resources, after);
	}

	#scope(caller: Caller, namespace: string | null): Scope {
		const mayRead = this.rights.mayRead(caller);
		return (one) => mayRead(one) && (namespace === null || one === namespace);
	}

	#asker(caller: Caller): Asker {
		const isPlatformAdmin = this.rights.may(caller, { verb: "admin", namespace: ALL_NAMESPACES });
		return { state: this.store.current, mayRead: this.rights.mayRead(caller), isPlatformAdmin };
	}

	#authorisePerson(call: AuditedCall, experiment: string, asked: Pick<PersonRequest, "verb" | "arm">): Authorisation {
		this.demandSeen(call, experiment, asked.verb);
		this.store.experiment(experiment);
		const authorisation = authorisePerson(this.store.current, experiment, asked);
		this.rights.demand(call, authorisation.needs, asked.verb, [`Experiment ${experiment}`]);
		return authorisation;
	}

	#ask(call: AuditedCall, operation: Operation, authorisation: Authorisation, objects: readonly string[]): Pending {
		const { revision } = this.store.current;
		const request = this.store.atomically(() => {
			const made = this.requests.ask({ askedBy: call.caller, operation, authorisation, revision }, call.nowMs);
			const pending = { revision, result: "pending", request: made.id } as const;
			this.#record(call, operation, { ...authorisation, effects: objects }, pending);
			return made;
		});
		return { outcome: "pending", request };
	}

	#record(
		call: AuditedCall,
		operation: Operation,
		{ namespaces, effects }: Pick<Authorisation, "namespaces" | "effects">,
		made: Pick<Parameters<typeof record>[1], "revision" | "after" | "result" | "request" | "askedBy" | "approvedBy">,
	): void {
		const what = { verb: operation.verb, namespaces, objects: effects, why: reasonOf(operation) };
		const entry = record(call, { ...what, ...made });
		// A pending request is recorded in full when it is carried out.
		if (made.result === "pending") this.store.audit.append(entry);
		else this.store.audit.appendWhole(entry);
	}

	#recordRefused(
		call: AuditedCall,
		{ verb }: Operation,
		{ namespaces, effects }: Authorisation,
		revision: number,
		why: string,
	): void {
		const made = record(call, { verb, namespaces, objects: effects, revision, result: "refused", why });
		this.store.atomically(() => this.store.audit.append(made));
	}

	/** Answers as if it did not exist. */
	#denyUnseen(call: AuditedCall, verb: string, kind: Target["kind"], name: string, hint: string): never {
		const title = `${kind} ${name.slice(0, 200)}`;
		const what = { verb, namespaces: [namespaceOf(name).slice(0, 200)], objects: [title] };
		this.rights.denyUnseen(call, what, new WeirError("not-found", `no ${kind} '${name.slice(0, 200)}'`, hint));
	}
}

function voidBecause(why: string): WeirError {
	return new WeirError("conflict", `the request is void: ${why}`, "ask again");
}
