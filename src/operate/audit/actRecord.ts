/** Creates audit records. */

import type { Caller } from "../callers/caller.js";
import type { NewAuditRecord } from "./auditRecord.js";

/** One API call: caller, time and id. */
export interface AuditedCall {
	readonly caller: Caller;
	readonly nowMs: number;
	readonly id: string;
}

/** An audit record, with defaults for optional fields. */
export function record(
	{
		caller,
		nowMs,
		id,
	}: Pick<AuditedCall, "nowMs" | "id"> & { readonly caller: Pick<NewAuditRecord, "subject" | "how"> },
	made: Pick<NewAuditRecord, "verb" | "namespaces" | "objects" | "result"> & {
		readonly revision: number;
		readonly after?: number;
		readonly why?: string;
		readonly request?: string;
		readonly askedBy?: string;
		readonly approvedBy?: readonly string[];
	},
): NewAuditRecord {
	return {
		atMs: nowMs,
		call: id,
		subject: caller.subject,
		how: caller.how,
		verb: made.verb,
		namespaces: made.namespaces,
		objects: made.objects,
		revisionBefore: made.revision,
		revisionAfter: made.after ?? made.revision,
		result: made.result,
		why: made.why ?? "",
		request: made.request ?? null,
		askedBy: made.askedBy ?? null,
		approvedBy: made.approvedBy ?? [],
	};
}
