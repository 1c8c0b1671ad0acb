/** A record of the audit log. */
import type { Caller } from "../callers/caller.js";

export interface NewAuditRecord {
	readonly atMs: number;
	/** Id of the API call; also its response header x-request-id. */
	readonly call: string;
	/** null = unauthenticated. */
	readonly subject: string | null;
	readonly how: Caller["how"] | null;
	/**
	 * apply, delete, pause, resume, promote, abort, approve, reject, read; connect: an xDS stream; take: an Envoy or a
	 * sidecar accepts published configuration.
	 */
	readonly verb: string;
	readonly namespaces: readonly string[];
	/** `Service team/x`, `Experiment trial`, or a path; at most OPERATOR_AUDIT_OBJECTS_MAX if nothing changed. */
	readonly objects: readonly string[];
	readonly revisionBefore: number;
	readonly revisionAfter: number;
	/** pending: waits for approval. */
	readonly result: "done" | "refused" | "pending";
	/** Why it was refused, or the operator's reason; may be empty. */
	readonly why: string;
	/** Id of the approval request that it created, changed or carried out. */
	readonly request: string | null;
	/** Author and approvers of a request that was carried out. */
	readonly askedBy: string | null;
	readonly approvedBy: readonly string[];
}

export interface AuditRecord extends NewAuditRecord {
	/** 1, 2, 3 … without a gap, in each chain. */
	readonly sequence: number;
	/** SHA-256 of the previous record (its canonical JSON), hexadecimal; zeros for the first. */
	readonly previous: string;
	/** Number of all objects, also those that are not listed. */
	readonly objectCount: number;
	/** Refused attempts since the previous record that were not recorded; only in the chain `refused`. */
	readonly unrecordedRefusals: number;
}

export interface AuditHead {
	readonly sequence: number;
	readonly hash: string;
}
