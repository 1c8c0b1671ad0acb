/**
 * Approval and rejection of pending requests. An approval counts in the namespaces where its author has `approve`, while the
 * right lasts, and never from the person who made the request. Subjects are compared by text: a person with a certificate and
 * a token has two, so bind `approve` to one of them. The local owner and the bootstrap admins are one person.
 */
import { WeirError } from "../../error.js";
import { type AuditedCall, record } from "../audit/actRecord.js";
import type { Caller } from "../callers/caller.js";
import type { Store } from "../state/store/store.js";
import type { Executor } from "./executor.js";
import type { ApprovalRequest, WaitingRequest } from "./request.js";

export class Approvals {
	constructor(
		private readonly store: Store,
		private readonly operations: Executor,
	) {}

	/**
	 * The caller's own requests, and those whose namespaces they may all read. Oldest first.
	 * @throws WeirError `permission-denied`, recorded, for a caller with no right anywhere and no request
	 */
	list(call: AuditedCall, objects: readonly string[]): readonly ApprovalRequest[] {
		const { rights, requests } = this.operations;
		const seen = requests.all(call.nowMs).filter((request) => this.#sees(call.caller, request));
		if (seen.length === 0) rights.demandSomeRead(call, objects);
		return seen;
	}

	/** With its content while it is pending. @throws WeirError `not-found`, also for a hidden request */
	get(call: AuditedCall, id: string): ApprovalRequest & { readonly operation: WaitingRequest["operation"] | null } {
		const request = this.#found(call, id, "read");
		return { ...request, operation: this.operations.requests.operation(request) };
	}

	/**
	 * The request, if the caller may approve it. An approver may approve again once it has all approvals, in case another
	 * approver lacked the right when the last approval came.
	 * @throws WeirError as `approve` does for a caller who may not
	 */
	demandAnother(call: AuditedCall, id: string): WaitingRequest {
		const found = this.#found(call, id, "approve");
		this.#demandApprover(call, found, "approve");
		this.#demandOther(call, found);
		const request = this.#waiting(found);
		if (this.#hasApproved(call.caller, request) && !this.completes(call.caller, request))
			throw new WeirError("failed-precondition", `${call.caller.subject} has approved it already`);
		return request;
	}

	/** Whether the caller's approval is the last one. */
	completes(caller: Caller, request: WaitingRequest): boolean {
		return this.#isEnough(request.needsIn, this.#with(caller, request));
	}

	#isEnough(needsIn: ApprovalRequest["needsIn"], approvals: ApprovalRequest["approvals"]): boolean {
		return Object.entries(needsIn).every(
			([namespace, needs]) =>
				approvals.filter(({ by }) => this.operations.rights.mayApprove(by, namespace)).length >= needs,
		);
	}

	#hasApproved(caller: Caller, { approvals }: ApprovalRequest): boolean {
		return approvals.some(({ by }) => this.operations.rights.isSamePerson(by, caller));
	}

	#with(caller: Caller, request: ApprovalRequest, atMs = 0): ApprovalRequest["approvals"] {
		return this.#hasApproved(caller, request) ? request.approvals : [...request.approvals, { by: caller, atMs }];
	}

	/**
	 * Adds the caller's approval; with the last one the operation is carried out in the same transaction.
	 * @throws WeirError `permission-denied` for its author or without `approve`, `failed-precondition` for a second approval or an
	 * ended request, `conflict` if its resources have changed: the request is void then
	 */
	approve(call: AuditedCall, id: string): ApprovalRequest {
		const request = this.demandAnother(call, id);
		const { operations, store } = this;
		const approvals = this.#with(call.caller, request, call.nowMs);
		const { revision } = store.current;
		try {
			return store.atomically(() => {
				store.audit.append(this.#record(call, request, "approve", "done"));
				const prepared = operations.prepare(call, request);
				const isEnough = this.#isEnough(prepared.needsIn, approvals);
				const counting = approvals
					.filter(({ by }) => Object.keys(prepared.needsIn).some((one) => operations.rights.mayApprove(by, one)))
					.map(({ by }) => by.subject);
				const made = isEnough ? operations.carryOut(call, request, prepared, counting) : null;
				const { operation: _, ...before } = request;
				const after: ApprovalRequest = {
					...before,
					approvals,
					...(made === null ? {} : { state: "done", endedAtMs: call.nowMs }),
					...(made === null || made === revision ? {} : { made }),
				};
				operations.requests.put(after);
				return after;
			});
		} catch (error) {
			if (store.current.revision !== revision) throw error;
			throw this.#voided(call, request, error);
		}
	}

	/**
	 * Runs `find` if the request can still be carried out, before its last approval.
	 * @throws WeirError as `approve` does: the request is void then
	 */
	whilePossible<Found>(call: AuditedCall, request: WaitingRequest, find: () => Found): Found {
		try {
			this.operations.prepare(call, request);
			return find();
		} catch (error) {
			throw this.#voided(call, request, error);
		}
	}

	/** @returns the error for the approver */
	#voided(call: AuditedCall, request: WaitingRequest, cause: unknown): unknown {
		const error = WeirError.from(cause);
		if (error.code === "internal") return cause;
		const why = error.code === "conflict" ? error.message : `the request is void: ${error.message}`;
		this.#end(call, request, "void", "approve", why, why);
		const hint = error.hint === "" || error.code === "conflict" ? "ask again" : `${error.hint}; then ask again`;
		return new WeirError("conflict", why, hint, { cause });
	}

	/** Ends a request: by an approver, or by its author. */
	reject(call: AuditedCall, id: string, reason: string): ApprovalRequest {
		const request = this.demandEnding(call, id);
		const why = `rejected by ${call.caller.subject}${reason === "" ? "" : `: ${reason}`}`;
		return this.#end(call, request, "rejected", "reject", why, reason);
	}

	/** The request, if the caller may reject it. @throws WeirError as `reject` does for a caller who may not */
	demandEnding(call: AuditedCall, id: string): WaitingRequest {
		const found = this.#found(call, id, "reject");
		if (found.askedBy.subject !== call.caller.subject) this.#demandApprover(call, found, "reject");
		return this.#waiting(found);
	}

	#found(call: AuditedCall, id: string, verb: "read" | "approve" | "reject"): ApprovalRequest {
		const request = this.operations.requests.get(id, call.nowMs);
		if (request !== null && this.#sees(call.caller, request)) return request;
		const unseen = new WeirError("not-found", `no request '${id.slice(0, 100)}'`, "see weir requests");
		if (request === null) throw unseen;
		const what = { verb, namespaces: request.namespaces, objects: [`request ${id}`] };
		return this.operations.rights.denyUnseen(call, what, unseen);
	}

	#sees(caller: Caller, { askedBy, namespaces }: ApprovalRequest): boolean {
		return askedBy.subject === caller.subject || namespaces.every(this.operations.rights.mayRead(caller));
	}

	/** In one of the namespaces that it touches. */
	#demandApprover(call: AuditedCall, { namespaces, effects }: ApprovalRequest, verb: "approve" | "reject"): void {
		const { rights } = this.operations;
		if (namespaces.some((namespace) => rights.mayApprove(call.caller, namespace))) return;
		const needs = namespaces.map((namespace) => ({ verb: "approve" as const, namespace }));
		rights.demand(call, needs, verb, effects);
	}

	#demandOther(call: AuditedCall, request: ApprovalRequest): void {
		if (!this.operations.rights.isSamePerson(request.askedBy, call.caller)) return;
		const { subject } = request.askedBy;
		const who = subject === call.caller.subject ? subject : `${subject}, one person with ${call.caller.subject},`;
		const why = `${who} asked for it: another one must approve`;
		this.store.atomically(() => this.store.audit.append(this.#record(call, request, "approve", "refused", why)));
		throw new WeirError("permission-denied", why);
	}

	#waiting(request: ApprovalRequest): WaitingRequest {
		const { state, why } = request;
		const operation = this.operations.requests.operation(request);
		if (operation !== null) return { ...request, operation };
		throw new WeirError("failed-precondition", `the request is over: ${state}${why === "" ? "" : `, ${why}`}`);
	}

	#end(
		call: AuditedCall,
		{ operation: _, ...request }: WaitingRequest,
		state: "rejected" | "void",
		verb: "approve" | "reject",
		why: string,
		recorded: string,
	): ApprovalRequest {
		const ended: ApprovalRequest = { ...request, state, why, endedAtMs: call.nowMs };
		this.store.atomically(() => {
			this.operations.requests.put(ended);
			const result = state === "void" ? "refused" : "done";
			this.store.audit.append(this.#record(call, ended, verb, result, recorded));
		});
		return ended;
	}

	#record(
		call: AuditedCall,
		request: ApprovalRequest,
		verb: "approve" | "reject",
		result: "done" | "refused",
		why = "",
	) {
		return record(call, {
			verb,
			namespaces: request.namespaces,
			objects: request.effects,
			revision: this.store.current.revision,
			result,
			why,
			request: request.id,
			askedBy: request.askedBy.subject,
			approvedBy: request.approvals.map(({ by }) => by.subject),
		});
	}
}
