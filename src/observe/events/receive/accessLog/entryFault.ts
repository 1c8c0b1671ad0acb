/**
 * Finds numbers in an access-log entry that a correct Envoy never writes. The store's columns and all computations rely on
 * these ranges: one entry out of a column's range would fail the whole commit.
 */
import type { AccessLogEntry } from "./accessLogEntry.js";

/**
 * Greatest age of a request's start when its log entry arrives: a month, because a stream may be that long. It rejects
 * clocks that were never set (1970, 2000), which would close a unit at once.
 */
const ENTRY_AGE_MAX_MS = 31 * 24 * 60 * 60 * 1000;

/** How far Envoy's clock may be ahead of ingest's: a local time that is read as UTC is ahead by up to 14 hours. */
const ENTRY_AHEAD_MAX_MS = 24 * 60 * 60 * 1000;

/** The invalid number. */
export type EntryFault = "status" | "start" | "duration";

/** HTTP's status has three digits (RFC 9110, section 15), and Envoy's codecs accept no other. 0: none was sent. */
const STATUS_MAX = 999;

/**
 * Other numbers of an entry are flags or enumerations, and reach no column.
 * @param receivedMs by the store's clock
 * @returns null = valid
 */
export function entryFault({ status, startUs, durationMs }: AccessLogEntry, receivedMs: number): EntryFault | null {
	if (status > STATUS_MAX) return "status";
	// Written so that NaN (invalid nanoseconds) is out of range.
	const sinceMs = receivedMs - startUs / 1e3;
	if (!(startUs >= 0 && sinceMs <= ENTRY_AGE_MAX_MS && sinceMs >= -ENTRY_AHEAD_MAX_MS)) return "start";
	// Not compared with the start: a clock may be set during a request, and the duration is by another clock.
	if (!(durationMs >= 0 && durationMs <= ENTRY_AGE_MAX_MS)) return "duration";
	return null;
}
