/**
 * The second person: looks at what waits, approves or rejects it. An approval counts while who gave it may approve, and
 * never where they asked themselves. Subjects are told apart by their text: a person with a certificate and a token has
 * two, so give `approve` to one of them. The local owner and the bootstrap admins are one person, by whatever door.
 */
import { WeirError } from "../error.js";
import { type ActCall, record } from "./actRecord.js";
import type { Acts } from "./acts.js";
import type { ApprovalRequest } from "./approval.js";
import type { Caller } from "./caller.js";
import type { Store } from "./store.js";
import type { MayRead } from "./visible.js";

export class Approvals {
	constructor(
		private readonly store: Store,
		private readonly acts: Acts,
	) {}

	/** What the caller may see: their own, and those whose namespaces they may all read. Oldest first. */
	list(caller: Caller, nowMs: number): readonly ApprovalRequest[] {
		const mayRead = this.acts.mayRead(caller);
		return this.acts.requests.all(nowMs).filter((request) => isVisible(request, caller, mayRead));
	}

	/** @throws WeirError `not-found`, also for what the caller may not see. */
	get(caller: Caller, id: string, nowMs: number): ApprovalRequest {
		const found = this.acts.requests.get(id, nowMs);
		if (found !== null && isVisible(found, caller, this.acts.mayRead(caller))) return found;
		throw new WeirError("not-found", `no request '${id.slice(0, 100)}'`, "see weir requests");
	}

	/** The request, where the caller may add an approval to it. @throws WeirError as `approve` does for who may not. */
	demandAnother(call: ActCall, id: string): ApprovalRequest {
		const request = this.get(call.caller, id, call.nowMs);
		this.#demandOther(call, request);
		this.#demandPending(request);
		if (request.approvals.some(({ by }) => this.acts.isSamePerson(by, call.caller))) {
			throw new WeirError("failed-precondition", `${call.caller.subject} has approved it already`);
		}
		return request;
	}

	/**
	 * Adds the caller's approval; with the last one that is needed the act is carried out in the same transaction.
	 * @throws WeirError `permission-denied` (who asked, or without `approve`), `failed-precondition` (twice, or it is
	 * over), `conflict` where what it would change has changed: the request is void then.
	 */
	approve(call: ActCall, id: string): ApprovalRequest {
		const request = this.demandAnother(call, id);
		const approvals = [...request.approvals, { by: call.caller, atMs: call.nowMs }];
		const counting = approvals.filter(({ by }) => this.acts.mayApprove(by, request)).map(({ by }) => by.subject);
		const { revision } = this.store.current;
		try {
			return this.store.atomically(() => {
				this.store.audit.append(this.#record(call, request, "approve", "done"));
				const prepared = this.acts.prepare(request, call.nowMs);
				const enough = counting.length >= prepared.needs;
				const after: ApprovalRequest = enough
					? { ...request, approvals, state: "done", endedAtMs: call.nowMs }
					: { ...request, approvals };
				this.acts.requests.put(after);
				if (enough) this.acts.carryOut(call, request, prepared, counting);
				return after;
			});
		} catch (thrown) {
			// Nothing of the above is written: what cannot be carried out any more is void, and that is written instead.
			const error = WeirError.from(thrown);
			if (error.code === "internal" || this.store.current.revision !== revision) throw thrown;
			const why = error.code === "conflict" ? error.message : `the request is void: ${error.message}`;
			this.#end(call, { ...request, state: "void", why, endedAtMs: call.nowMs }, "approve", why);
			throw new WeirError("conflict", why, "ask again", { cause: thrown });
		}
	}

	/** Ends it: by who may approve it, or by who asked. */
	reject(call: ActCall, id: string, reason: string): ApprovalRequest {
		const request = this.get(call.caller, id, call.nowMs);
		if (request.askedBy.subject !== call.caller.subject) {
			this.acts.demand(call, approveIn(request), "reject", request.effects);
		}
		this.#demandPending(request);
		const why = `rejected by ${call.caller.subject}${reason === "" ? "" : `: ${reason}`}`;
		return this.#end(call, { ...request, state: "rejected", why, endedAtMs: call.nowMs }, "reject", reason);
	}

	#demandOther(call: ActCall, request: ApprovalRequest): void {
		this.acts.demand(call, approveIn(request), "approve", request.effects);
		if (!this.acts.isSamePerson(request.askedBy, call.caller)) return;
		const { subject } = request.askedBy;
		const who = subject === call.caller.subject ? subject : `${subject}, one person with ${call.caller.subject},`;
		const why = `${who} asked for it: another one must approve`;
		this.store.atomically(() => this.store.audit.append(this.#record(call, request, "approve", "refused", why)));
		throw new WeirError("permission-denied", why);
	}

	#demandPending({ state, why }: ApprovalRequest): void {
		if (state === "pending") return;
		throw new WeirError("failed-precondition", `the request is over: ${state}${why === "" ? "" : `, ${why}`}`);
	}

	#end(call: ActCall, request: ApprovalRequest, verb: "approve" | "reject", why: string): ApprovalRequest {
		this.store.atomically(() => {
			this.acts.requests.put(request);
			const result = request.state === "void" ? "refused" : "done";
			this.store.audit.append(this.#record(call, request, verb, result, why));
		});
		return request;
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

function approveIn({ namespaces }: ApprovalRequest) {
	return namespaces.map((namespace) => ({ verb: "approve" as const, namespace }));
}

function isVisible(request: ApprovalRequest, caller: Caller, mayRead: MayRead): boolean {
	return request.askedBy.subject === caller.subject || request.namespaces.every(mayRead);
}
