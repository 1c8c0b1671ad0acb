/** The hash that links an audit record to the previous one. */
import { createHash } from "node:crypto";
import { canonicalJson } from "../../declare/resources/canonicalJson.js";
import type { AuditRecord } from "./auditRecord.js";

/** The previous hash of the first record. */
export const AUDIT_GENESIS = "0".repeat(64);

/** SHA-256 of a record, hexadecimal. */
export function auditHash(record: AuditRecord): string {
	return createHash("sha256").update(canonicalJson(record)).digest("hex");
}
