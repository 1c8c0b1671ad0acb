/**
 * The second person: looks at what waits, approves or rejects it. An approval counts for the namespaces in which who
 * gave it may approve, while they may (by the groups of the token that they approved with: Weir hears of no others),
 * and never where they asked themselves. Subjects are told apart by their text: a person with a certificate and a token
 * has two, so give `approve` to one of them. The local owner and the bootstrap admins are one person, by whatever door.
 */
import { WeirError } from "../../error.js";
import type { Acts } from "../acts/acts.js";
import type { Caller } from "../api/caller.js";
import { type ActCall, record } from "../audit/actRecord.js";
import type { Store } from "../store/store.js";
import type { ApprovalRequest, WaitingRequest } from "./approval.js";
import { RequestDocuments } from "./requestDocuments.js";
import { redacted } from "./requestSight.js";

export class Approvals {
	constructor(
		private readonly store: Store,
		private readonly acts: Acts,
		private readonly documents = new RequestDocuments(),
	) {}

	/**
	 * What the caller may see: their own, those whose namespaces they may all read, and of those that they may approve
	 * in one namespace what concerns it. Oldest first, without contents.
	 * @throws WeirError `permission-denied`, recorded, for who has no right anywhere and none of their own
	 */
	list(call: ActCall, objects: readonly string[]): readonly ApprovalRequest[] {
		const { caller, nowMs } = call;
		if (!this.acts.rights.maySome(caller, "read")) {
			const own = this.acts.requests.askedBy(caller.subject, nowMs);
			if (own.length === 0) this.acts.rights.demandSomeRead(call, objects);
			return own.flatMap((request) => this.#seen(call, request) ?? []);
		}
		return this.acts.requests.all(nowMs).flatMap((request) => this.#seen(call, request) ?? []);
	}

	/**
	 * @throws WeirError `not-found`, also for what the caller may not see
	 */
	get(call: ActCall, id: string): ApprovalRequest {
		const request = this.#found(call, id, "read");
		return this.#seen(call, request) ?? this.#part(call, request);
	}

	/**
	 * The whole request, where the caller may add an approval to it; who has approved may once more where all that it took is
	 * there: one of them might not approve when the last one came, and may again.
	 * @throws WeirError as `approve` does for who may not
	 */
	demandAnother(call: ActCall, id: string): WaitingRequest {
		const found = this.#found(call, id, "approve");
		this.#demandOther(call, found);
		const request = this.#waiting(found);
		if (this.#hasApproved(call.caller, request) && !this.completes(call.caller, request)) {
			throw new WeirError("failed-precondition", `${call.caller.subject} has approved it already`);
		}
		return request;
	}

	/** Whether with the caller's approval it has as many as it took when it was asked for, of people who may give them now. */
	completes(caller: Caller, request: WaitingRequest): boolean {
		const people = this.#with(caller, request).map(({ by }) => by);
		return Object.entries(request.needsIn).every(
			([namespace, needs]) => people.filter((by) => this.acts.rights.mayApprove(by, namespace)).length >= needs,
		);
	}

	#hasApproved(caller: Caller, { approvals }: ApprovalRequest): boolean {
		return approvals.some(({ by }) => this.acts.rights.isSamePerson(by, caller));
	}

	#with(caller: Caller, request: ApprovalRequest, atMs = 0): ApprovalRequest["approvals"] {
		return this.#hasApproved(caller, request) ? request.approvals : [...request.approvals, { by: caller, atMs }];
	}

	/**
	 * Adds the caller's approval; with the last one that is needed the act is carried out in the same transaction.
	 * @returns the request as the caller may see it
	 * @throws WeirError `permission-denied` (who asked, or without `approve`),
	 * `failed-precondition` (twice in vain, or it is over), `conflict` where what it would change has changed: the request is
	 * void then.
	 */
	approve(call: ActCall, id: string): ApprovalRequest {
		const request = this.demandAnother(call, id);
		const approvals = this.#with(call.caller, request, call.nowMs);
		const inNamespace = (namespace: string) => approvals.filter(({ by }) => this.acts.rights.mayApprove(by, namespace));
		const { revision } = this.store.current;
		try {
			return this.store.atomically(() => {
				this.store.audit.append(this.#record(call, request, "approve", "done"));
				const prepared = this.acts.prepare(call, request);
				const wanted = Object.entries(prepared.needsIn);
				const enough = wanted.every(([namespace, needs]) => inNamespace(namespace).length >= needs);
				const counting = approvals
					.filter((one) => wanted.some(([namespace]) => inNamespace(namespace).includes(one)))
					.map(({ by }) => by.subject);
				const after = enough ? this.acts.carryOut(call, request, prepared, counting) : null;
				this.acts.requests.put({
					...request,
					approvals,
					...(after === null ? {} : { state: "done", endedAtMs: call.nowMs }),
					...(after === null || after === revision ? {} : { made: after }),
				});
				const is = this.acts.requests.get(id, call.nowMs) ?? request;
				return this.#seen(call, is) ?? this.#part(call, is);
			});
		} catch (thrown) {
			// Nothing of the above is written.
			if (this.store.current.revision !== revision) throw thrown;
			throw this.#voided(call, request, thrown);
		}
	}

	/**
	 * What is found where the request can happen still: for what comes before its last approval.
	 * @throws WeirError as `approve` does for what cannot: the request is void then
	 */
	whilePossible<Found>(call: ActCall, request: WaitingRequest, find: () => Found): Found {
		try {
			this.acts.prepare(call, request);
			return find();
		} catch (thrown) {
			throw this.#voided(call, request, thrown);
		}
	}

	/** What cannot be carried out any more is void, and that is written. @returns what is told of it */
	#voided(call: ActCall, request: WaitingRequest, thrown: unknown): unknown {
		const error = WeirError.from(thrown);
		if (error.code === "internal") return thrown;
		const why = error.code === "conflict" ? error.message : `the request is void: ${error.message}`;
		this.#end(call, { ...request, state: "void", why, endedAtMs: call.nowMs }, "approve", why);
		const hint = error.hint === "" || error.code === "conflict" ? "ask again" : `${error.hint}; then ask again`;
		return new WeirError("conflict", why, hint, { cause: thrown });
	}

	/** Ends it: by who may approve it, or by who asked. */
	reject(call: ActCall, id: string, reason: string): ApprovalRequest {
		const request = this.demandEnding(call, id);
		const why = `rejected by ${call.caller.subject}${reason === "" ? "" : `: ${reason}`}`;
		this.#end(call, { ...request, state: "rejected", why, endedAtMs: call.nowMs }, "reject", reason);
		return this.get(call, id);
	}

	/**
	 * The whole request, where the caller may reject it.
	 * @throws WeirError as `reject` does for who may not
	 */
	demandEnding(call: ActCall, id: string): WaitingRequest {
		const found = this.#found(call, id, "reject");
		if (found.askedBy.subject !== call.caller.subject) this.#demandApprover(call, found, "reject");
		return this.#waiting(found);
	}

	/** As it is, where the caller may see something of it. @throws WeirError `not-found`; recorded of who does not see all */
	#found(call: ActCall, id: string, verb: "read" | "approve" | "reject"): ApprovalRequest {
		const { caller, nowMs } = call;
		const { rights, requests } = this.acts;
		const request = requests.get(id, nowMs);
		if (request !== null && this.#sight(caller, request) !== null) return request;
		if (rights.readable(caller) === null) throw notFound(id);
		const what = { verb, namespaces: request?.namespaces ?? [], objects: [`request ${id.slice(0, 100)}`] };
		return rights.denyUnseen(call, what, notFound(id));
	}

	/** null = nothing of it. Of what was not done, approvals that would not count now are left out: it would read as approved. */
	#seen(call: ActCall, asked: ApprovalRequest): ApprovalRequest | null {
		const request = asked.state !== "done" ? { ...asked, approvals: this.#counting(asked) } : asked;
		const sight = this.#sight(call.caller, request);
		return sight === "part" ? this.#part(call, request) : sight && request;
	}

	#part(call: ActCall, request: ApprovalRequest): ApprovalRequest {
		const { rights } = this.acts;
		return redacted(request, rights.mayRead(call.caller), this.documents);
	}

	/** How much of it the caller may see; null = nothing. */
	#sight(caller: Caller, request: ApprovalRequest): "whole" | "part" | null {
		if (request.askedBy.subject === caller.subject || request.namespaces.every(this.acts.rights.mayRead(caller)))
			return "whole";
		return request.parts.length > 0 && this.#approvesIn(caller, request) ? "part" : null;
	}

	#counting(request: ApprovalRequest): ApprovalRequest["approvals"] {
		return request.approvals.filter(({ by }) => this.#approvesIn(by, request));
	}

	#approvesIn(caller: Caller, request: ApprovalRequest): boolean {
		return this.acts.approvedIn(request).some((namespace) => this.acts.rights.mayApprove(caller, namespace));
	}

	/** In one of the namespaces that want approvals: it counts there. */
	#demandApprover(call: ActCall, request: ApprovalRequest, verb: "approve" | "reject"): void {
		if (this.#approvesIn(call.caller, request)) return;
		const needs = this.acts.approvedIn(request).map((namespace) => ({ verb: "approve" as const, namespace }));
		this.acts.rights.demand(call, needs, verb, request.effects);
	}

	#demandOther(call: ActCall, request: ApprovalRequest): void {
		this.#demandApprover(call, request, "approve");
		if (!this.acts.rights.isSamePerson(request.askedBy, call.caller)) return;
		const { subject } = request.askedBy;
		const who = subject === call.caller.subject ? subject : `${subject}, one person with ${call.caller.subject},`;
		const why = `${who} asked for it: another one must approve`;
		this.store.atomically(() => this.store.audit.append(this.#record(call, request, "approve", "refused", why)));
		throw new WeirError("permission-denied", why);
	}

	#waiting(request: ApprovalRequest): WaitingRequest {
		const { state, why, act } = request;
		if (state === "pending" && act !== null) return { ...request, act };
		throw new WeirError("failed-precondition", `the request is over: ${state}${why === "" ? "" : `, ${why}`}`);
	}

	#end(call: ActCall, request: ApprovalRequest, verb: "approve" | "reject", why: string): void {
		this.store.atomically(() => {
			this.acts.requests.put(request);
			const result = request.state === "void" ? "refused" : "done";
			this.store.audit.append(this.#record(call, request, verb, result, why));
		});
	}

	#record(call: ActCall, request: ApprovalRequest, verb: "approve" | "reject", result: "done" | "refused", why = "") {
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

const notFound = (id: string): WeirError =>
	new WeirError("not-found", `no request '${id.slice(0, 100)}'`, "see weir requests");
