/** Audits a refusal that no operator caused: an xDS stream, a TLS handshake, or a NACK. */
import { randomUUID } from "node:crypto";
import { CALLER_SUBJECT_CHARS_MAX } from "../../limits/index.js";
import type { AuditLog } from "./auditLog.js";
import type { NewAuditRecord } from "./auditRecord.js";

export interface AuditedRefusal extends Pick<NewAuditRecord, "atMs" | "how" | "verb"> {
	/** The client's SPIFFE id or node id; null = not known. */
	readonly subject: string | null;
	readonly object: string;
	readonly why: string;
}

export function auditRefusal(
	{ audit, current }: { readonly audit: AuditLog; readonly current: { readonly revision: number } },
	refused: AuditedRefusal,
): void {
	const { atMs, subject, how, verb, object, why } = refused;
	const { revision } = current;
	audit.append({
		...{ atMs, how, verb, call: randomUUID(), namespaces: [], revisionBefore: revision, revisionAfter: revision },
		subject: subject?.slice(0, CALLER_SUBJECT_CHARS_MAX) ?? null,
		objects: [object.slice(0, CALLER_SUBJECT_CHARS_MAX)],
		result: "refused",
		why: why.slice(0, CALLER_SUBJECT_CHARS_MAX),
		...{ request: null, askedBy: null, approvedBy: [] },
	});
}
