/** A record of the audit log. */
import type { Caller } from "../api/caller.js";

export interface NewAuditRecord {
	readonly atMs: number;
	/** Of the API call; also its response header x-request-id. */
	readonly call: string;
	/** null = nobody that was known. */
	readonly subject: string | null;
	readonly how: Caller["how"] | null;
	/**
	 * apply, delete, pause, resume, promote, abort, approve, reject, read; connect: an xDS stream; take: what is
	 * published, by an Envoy or a sidecar.
	 */
	readonly verb: string;
	readonly namespaces: readonly string[];
	/** `Service team/x`, `Experiment trial`, or a path; of what changed nothing at most OPERATOR_AUDIT_OBJECTS_MAX. */
	readonly objects: readonly string[];
	readonly revisionBefore: number;
	readonly revisionAfter: number;
	/** pending: asked for, and waiting for approval. */
	readonly result: "done" | "refused" | "pending";
	/** Why it was refused, or in the operator's words; empty = nothing to say. */
	readonly why: string;
	/** Id of the approval request that it made, moved or carried out. */
	readonly request: string | null;
	/** Who asked for what was carried out, and who approved it. */
	readonly askedBy: string | null;
	readonly approvedBy: readonly string[];
}

export interface AuditRecord extends NewAuditRecord {
	/** 1, 2, 3 … without a gap, in each chain. */
	readonly sequence: number;
	/** SHA-256 of the record before (its canonical JSON), hexadecimal; zeros for the first. */
	readonly previous: string;
	/** Of all objects, also those that are not listed. */
	readonly objectCount: number;
	/** Refused attempts since the record before that were counted and not recorded; only in the chain of those. */
	readonly unrecordedRefusals: number;
}

export interface AuditHead {
	readonly sequence: number;
	readonly hash: string;
}
