/**
 * Refusals caused by a fault, not by the caller: the sidecar gave no verdict, or had no key to verify a token. They are
 * found in access-log entries, wherever the Envoy and its sidecar run.
 */
import type { AccessLogEntry } from "../accessLog/accessLogEntry.js";
import type { AccessRecord } from "./accessRecord.js";
import { asksLikeProbe } from "./ownProbe.js";

export const CALLOUT_FAULTS = ["unanswered", "no-issuer-keys"] as const;
export type CalloutFault = (typeof CALLOUT_FAULTS)[number];

/** @param denial the entry's denial; null = no such fault, or the built-in probe, which has its own alarm */
export function calloutFaultOf(entry: AccessLogEntry, denial: AccessRecord): CalloutFault | null {
	const reason = denial.reason === "unanswered" ? denial.reason : entry.sidecar?.fault;
	const fault = CALLOUT_FAULTS.find((one) => one === reason) ?? null;
	return fault === null || asksLikeProbe(denial) ? null : fault;
}
