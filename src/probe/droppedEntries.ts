/**
 * Access-log entries that Envoy dropped because ingest did not take them as fast as they came: nobody hears of them but by
 * Envoy's own counter, so that it is read again and again.
 */
import { movedBy } from "../access/bypass/counters.js";
import { DROPPED_COUNTER } from "../access/bypass/probe.js";
import type { EnvoyAdmin } from "../access/bypass/reach.js";
import { DROPPED_LOOK_MS } from "../limits.js";
import { watchCounters } from "./countersWatch.js";

const FILTER = `^${DROPPED_COUNTER.replaceAll(".", "\\.")}$`;

/** How many entries, and when they were counted last before. */
export type DroppedSince = (entries: number, sinceMs: number) => void;

/**
 * The first reading says nothing: what was dropped before it was while ingest was away.
 * @param admin where it cannot be read, nothing is told until it can
 * @param tell of what was dropped between two readings
 */
export function watchDroppedEntries(
	admin: EnvoyAdmin,
	clock: () => number,
	tell: DroppedSince,
	everyMs = DROPPED_LOOK_MS,
): { close(): void } {
	return watchCounters({ admin, filter: FILTER, clock, everyMs }, (before, now) => {
		const dropped = movedBy(DROPPED_COUNTER, before.counters, now.counters);
		if (dropped > 0) tell(dropped, before.atMs);
	});
}
