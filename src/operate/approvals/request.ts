/** Requests: operations that wait for approval. */
import type { Caller } from "../callers/caller.js";
import type { Change } from "../changes/change.js";
import type { PersonVerb } from "./personRequest.js";

/** A change of the declaration. */
export interface ChangeOperation extends Change {
	readonly verb: "apply" | "delete" | "rollback";
	/** For a rollback: the revision. */
	readonly to?: number;
}

/** An operation on an Experiment. */
export interface PersonOperation {
	readonly verb: PersonVerb;
	readonly experiment: string;
	readonly arm: string | null;
	readonly reason: string;
	readonly overrideGates?: boolean;
	readonly shutOut?: boolean;
}

export type Operation = ChangeOperation | PersonOperation;

export const isChange = (operation: Operation): operation is ChangeOperation => !("experiment" in operation);

/** The reason of an operation in the audit log. */
export function reasonOf(operation: Operation): string {
	if (!isChange(operation)) return operation.reason;
	return operation.to === undefined ? "" : `to revision ${operation.to}`;
}

export interface ApprovalRequest {
	readonly id: string;
	readonly verb: Operation["verb"];
	readonly askedBy: Caller;
	readonly askedAtMs: number;
	readonly expiresAtMs: number;
	/** Changed namespaces; hidden from callers who cannot read all of them. */
	readonly namespaces: readonly string[];
	/** The first APPROVAL_EFFECTS_SHOWN_MAX, and the number of the others. */
	readonly effects: readonly string[];
	readonly reason: string;
	/** The revision at its creation, and fingerprints of the resources that it changes. */
	readonly revision: number;
	readonly fingerprints: Readonly<Record<string, string>>;
	/** Hash of the operation and the fingerprints: detects duplicates. */
	readonly question: string;
	/** Required approvals, by namespace. */
	readonly needsIn: Readonly<Record<string, number>>;
	readonly approvals: readonly { readonly by: Caller; readonly atMs: number }[];
	readonly state: "pending" | "done" | "rejected" | "void";
	/** The revision that it made. */
	readonly made?: number;
	/** Why it is rejected or void; else empty. */
	readonly why: string;
	readonly endedAtMs: number | null;
	/** Size of the operation while it is pending. */
	readonly bytes: number;
}

/** A pending request with its exact content. */
export interface WaitingRequest extends ApprovalRequest {
	readonly operation: Operation;
}
