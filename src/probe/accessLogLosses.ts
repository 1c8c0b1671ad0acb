/**
 * What an Envoy lost of its access log, by its own counters: entries that it dropped because ingest took them too slowly, and
 * connections to ingest that it could not make.
 */
import type { Counters } from "../access/bypass/served.js";
import { movedBy } from "../access/bypass/served.js";
import { ACCESS_LOG_CLUSTER } from "../compiler/listener.js";
import { ACCESS_LOG_CONNECT_MS, DROPPED_LOOK_MS } from "../limits.js";
import type { EnvoyAdmin } from "./envoyAdmin.js";

export const DROPPED_COUNTER = "access_logs.grpc_access_log.logs_dropped";

const ofCluster = (name: string): string => `cluster.${ACCESS_LOG_CLUSTER}.${name}`;

/** Connections that were not made, and streams that waited for one. */
const FAILED = ["upstream_cx_connect_fail", "upstream_rq_pending_failure_eject"].map(ofCluster);
/** A gauge: streams that wait for a connection. */
const WAITING = ofCluster("upstream_rq_pending_active");

export interface AccessLogLosses {
	/** @param sinceMs when they were counted last before */
	readonly dropped: (entries: number, sinceMs: number) => void;
	/** What was written since then may be lost. */
	readonly failed?: (sinceMs: number) => void;
}

export interface AccessLogWatch {
	/** Looks now, as Envoy ends: what waits for a connection is lost. @returns whether nothing does */
	last(): Promise<boolean>;
	close(): void;
}

export interface AccessLogWatchOptions {
	readonly admin: Pick<EnvoyAdmin, "counters">;
	readonly clock: () => number;
	/** Envoy is just being started, so that its counters move from 0; else the first reading says nothing. */
	readonly fresh: boolean;
	readonly everyMs?: number;
}

export function watchAccessLog(
	{ admin, clock, fresh, everyMs = DROPPED_LOOK_MS }: AccessLogWatchOptions,
	{ dropped, failed }: AccessLogLosses,
): AccessLogWatch {
	const filter = `^(${[DROPPED_COUNTER, ...FAILED, WAITING].join("|").replaceAll(".", "\\.")})$`;
	let before: { readonly counters: Counters; readonly atMs: number } | null = fresh
		? { counters: new Map(), atMs: clock() }
		: null;
	/** Since when streams wait for a connection; null = none does. */
	let waitingSinceMs: number | null = null;
	let closed = false;
	let timer: NodeJS.Timeout | null = null;
	/** One reading at a time. */
	let looking: Promise<boolean> = Promise.resolve(true);
	const look = async (): Promise<boolean> => {
		const atMs = clock();
		const counters = await admin.counters(filter).catch(() => null);
		if (closed || counters === null) return false;
		const last = before;
		before = { counters, atMs };
		if (last === null) return true;
		const moved = (name: string): number => movedBy(name, last.counters, counters);
		if (moved(DROPPED_COUNTER) > 0) dropped(moved(DROPPED_COUNTER), last.atMs);
		// What failed now may have waited for as long.
		const sinceMs = Math.max(waitingSinceMs ?? last.atMs, last.atMs - ACCESS_LOG_CONNECT_MS);
		if (FAILED.some((name) => moved(name) > 0)) failed?.(sinceMs);
		waitingSinceMs = (counters.get(WAITING) ?? 0) > 0 ? sinceMs : null;
		return true;
	};
	const lookNext = (): Promise<boolean> => {
		looking = looking.then(look);
		return looking;
	};
	const again = async (): Promise<void> => {
		await lookNext();
		if (!closed) timer = setTimeout(() => void again(), everyMs).unref();
	};
	void again();
	return {
		last: async () => {
			const read = await lookNext();
			if (waitingSinceMs !== null) failed?.(waitingSinceMs);
			return read && waitingSinceMs === null;
		},
		close: () => {
			closed = true;
			if (timer !== null) clearTimeout(timer);
		},
	};
}
