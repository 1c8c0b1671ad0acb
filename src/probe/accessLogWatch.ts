/**
 * What an Envoy of another machine tells of its access log by its own counters: entries that it dropped, and connections to
 * ingest that it could not make. What it has written to one of these is lost, also where whoever else asks gets through: Envoy
 * has its certificate, its backoff and its routes to itself.
 */
import { movedBy } from "../access/bypass/counters.js";
import { DROPPED_COUNTER } from "../access/bypass/probe.js";
import type { EnvoyAdmin } from "../access/bypass/reach.js";
import { ACCESS_LOG_CLUSTER } from "../compiler/listener.js";
import { ACCESS_LOG_CONNECT_MS, DROPPED_LOOK_MS } from "../limits.js";
import { watchCounters } from "./countersWatch.js";
import type { DroppedSince } from "./droppedEntries.js";

const ofCluster = (name: string): string => `cluster.${ACCESS_LOG_CLUSTER}.${name}`;

/** Connections that were not made, and streams that waited for one. */
const FAILED = ["upstream_cx_connect_fail", "upstream_rq_pending_failure_eject"].map(ofCluster);
/** A gauge: streams that wait for a connection. */
const WAITING = ofCluster("upstream_rq_pending_active");
const FILTER = `^(${[DROPPED_COUNTER, ...FAILED, WAITING].join("|").replaceAll(".", "\\.")})$`;

export interface AccessLogTroubles {
	readonly dropped: DroppedSince;
	/** What was written since then may be lost. */
	readonly failed: (sinceMs: number) => void;
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
	/** Since when streams wait for a connection; null = none does. */
	let waitingSinceMs: number | null = null;
	const watch = watchCounters({ admin, filter: FILTER, clock, everyMs, fresh: true }, (before, now) => {
		const moved = (name: string): number => movedBy(name, before.counters, now.counters);
		const dropped = moved(DROPPED_COUNTER);
		if (dropped > 0) told.dropped(dropped, before.atMs);
		// What failed now may have waited for as long.
		const earliestMs = before.atMs - ACCESS_LOG_CONNECT_MS;
		const sinceMs = Math.max(waitingSinceMs ?? before.atMs, earliestMs);
		if (FAILED.some((name) => moved(name) > 0)) told.failed(sinceMs);
		waitingSinceMs = (now.counters.get(WAITING) ?? 0) > 0 ? sinceMs : null;
	});
	return {
		last: async () => {
			const read = await watch.look();
			if (waitingSinceMs !== null) told.failed(waitingSinceMs);
			return read && waitingSinceMs === null;
		},
		close: () => watch.close(),
	};
}
