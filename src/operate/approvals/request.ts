/** Requests: operations that wait until others have approved them. */
import type { Caller } from "../api/caller.js";
import type { Change } from "../state/history/change.js";
import type { PersonVerb } from "./personRequest.js";

/** A change of the declaration. */
export interface ChangeOperation extends Change {
	readonly verb: "apply" | "delete" | "rollback";
	/** Of a rollback: the revision. */
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

/** What the audit log says of an operation beside its verb. */
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
	/** Namespaces that it touches; who cannot read all of them does not see the request. */
	readonly namespaces: readonly string[];
	/** The first APPROVAL_EFFECTS_SHOWN_MAX, and how many more there are. */
	readonly effects: readonly string[];
	readonly reason: string;
	/** The revision that it was asked for at, and what it touches, as it was then. */
	readonly revision: number;
	readonly fingerprints: Readonly<Record<string, string>>;
	/** Of the operation and the fingerprints: the same question is not asked twice. */
	readonly question: string;
	/** Approvals that it needs, by namespace. */
	readonly needsIn: Readonly<Record<string, number>>;
	readonly approvals: readonly { readonly by: Caller; readonly atMs: number }[];
	readonly state: "pending" | "done" | "rejected" | "void";
	/** The revision that it made. */
	readonly made?: number;
	/** Why it is rejected or void; else empty. */
	readonly why: string;
	readonly endedAtMs: number | null;
	/** Of the operation, while it waits. */
	readonly bytes: number;
}

/** One that waits, with its exact content. */
export interface WaitingRequest extends ApprovalRequest {
	readonly operation: Operation;
}
