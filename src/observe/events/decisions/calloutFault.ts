/**
 * Refusals that are no caller's fault: the sidecar gave no verdict, or had no key to verify a token by. An entry tells of them
 * wherever its Envoy and its sidecar run.
 */
import type { AccessLogEntry } from "../accessLog/accessLogEntry.js";
import { asksLikeProbe } from "../accessLog/ownProbe.js";
import type { DecisionRecord } from "./decisionRecord.js";

export const CALLOUT_FAULTS = ["unanswered", "no-issuer-keys"] as const;
export type CalloutFault = (typeof CALLOUT_FAULTS)[number];

/** @param denial what the entry comes to; null = it is of no such kind, or of the built-in probe, which has an alarm of its own */
export function calloutFaultOf(entry: AccessLogEntry, denial: DecisionRecord): CalloutFault | null {
	const told = denial.reason === "unanswered" ? denial.reason : entry.sidecar?.fault;
	const fault = CALLOUT_FAULTS.find((one) => one === told) ?? null;
	return fault === null || asksLikeProbe(denial) ? null : fault;
}
