/** What approvals ask of operations: to prepare the operation of a request, and to carry it out. */
import type { AuditedCall } from "../audit/actRecord.js";
import type { ChangeSet } from "../changes/changeSet.js";
import type { Rights } from "../state/rights/rights.js";
import type { WaitingRequest } from "./request.js";
import type { RequestStore } from "./requestStore.js";
import type { Authorisation } from "./required.js";

/** A request that can be carried out now. */
export interface Prepared {
	readonly authorisation: Authorisation;
	/** null = an operation on an Experiment. */
	readonly changeSet: ChangeSet | null;
	/** Approvals that it needs, by namespace. */
	readonly needsIn: Readonly<Record<string, number>>;
}

export interface Executor {
	readonly rights: Rights;
	readonly requests: RequestStore;
	/**
	 * Plans a pending request on the current state.
	 * @throws WeirError `conflict` if its resources have changed since, or its author has lost the rights for it
	 */
	prepare(call: AuditedCall, request: WaitingRequest): Prepared;
	/** Carries out a request, in the transaction of its last approval. @returns the revision after it */
	carryOut(call: AuditedCall, request: WaitingRequest, prepared: Prepared, approvedBy: readonly string[]): number;
}
