/** Access-log entries that an Envoy of another machine dropped, and whether it has written all, by its own counters. */
import { movedBy } from "../access/bypass/counters.js";
import { DROPPED_COUNTER } from "../access/bypass/probe.js";
import type { EnvoyAdmin } from "../access/bypass/reach.js";
import { ACCESS_LOG_CLUSTER } from "../compiler/listener.js";
import { DROPPED_LOOK_MS } from "../limits.js";
import { watchCounters } from "./countersWatch.js";
import type { DroppedSince } from "./droppedEntries.js";

const ofCluster = (name: string): string => `cluster.${ACCESS_LOG_CLUSTER}.${name}`;

/** A gauge: streams that wait for a connection. */
const WAITING = ofCluster("upstream_rq_pending_active");
const FILTER = `^(${[DROPPED_COUNTER, WAITING].join("|").replaceAll(".", "\\.")})$`;

export interface AccessLogTroubles {
	readonly dropped: DroppedSince;
}

export interface AccessLogWatch {
	/**
	 * Looks now, as its Envoy ends: what waits for a connection is lost.
	 * @returns whether nothing does
	 */
	last(): Promise<boolean>;
	close(): void;
}

/** @param admin of an Envoy that was just started */
export function watchAccessLog(
	admin: EnvoyAdmin,
	clock: () => number,
	told: AccessLogTroubles,
	everyMs = DROPPED_LOOK_MS,
): AccessLogWatch {
	let waits = false;
	const watch = watchCounters({ admin, filter: FILTER, clock, everyMs, fresh: true }, (before, now) => {
		const dropped = movedBy(DROPPED_COUNTER, before.counters, now.counters);
		if (dropped > 0) told.dropped(dropped, before.atMs);
		waits = (now.counters.get(WAITING) ?? 0) > 0;
	});
	return {
		last: async () => (await watch.look()) && !waits,
		close: () => watch.close(),
	};
}
