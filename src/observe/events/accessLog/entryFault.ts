/**
 * Numbers in an access-log entry that no Envoy writes which works. They are what the store's columns and all that is computed of
 * them are sure of: one entry beyond a column's range would fail its commit, and so everybody's.
 */
import { ENTRY_AGE_MAX_MS, ENTRY_AHEAD_MAX_MS } from "../../../limits/index.js";
import type { AccessLogEntry } from "./accessLogEntry.js";

/** Which of its numbers it is. */
export type EntryFault = "status" | "start" | "duration";

/** HTTP's status has three digits (RFC 9110, section 15), and Envoy's codecs take no other. 0: none was sent. */
const STATUS_MAX = 999;

/**
 * The other numbers of an entry are bits (flags) or of an enumeration, and reach no column.
 * @param receivedMs by the store's clock
 * @returns null = it may be an Envoy's
 */
export function entryFault({ status, startUs, durationMs }: AccessLogEntry, receivedMs: number): EntryFault | null {
	if (status > STATUS_MAX) return "status";
	// So written that NaN, of nanoseconds that are none, lies outside.
	const sinceMs = receivedMs - startUs / 1e3;
	if (!(startUs >= 0 && sinceMs <= ENTRY_AGE_MAX_MS && sinceMs >= -ENTRY_AHEAD_MAX_MS)) return "start";
	// Not held against its start: a clock may be set while a request runs, and its duration is of another clock.
	if (!(durationMs >= 0 && durationMs <= ENTRY_AGE_MAX_MS)) return "duration";
	return null;
}
