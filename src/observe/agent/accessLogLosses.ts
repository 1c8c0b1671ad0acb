/** Access-log entries that an Envoy dropped or still has to write, from its own counters. */
import type { Counters } from "../../compile/access/bypass/served.js";
import { movedBy } from "../../compile/access/bypass/served.js";
import { ACCESS_LOG_CLUSTER } from "../../compile/envoy/listener.js";
import type { EnvoyAdmin } from "./envoyAdmin.js";

/** How often Envoy's counter of dropped entries is read: before the affected units are closed. */
const DROPPED_CHECK_MS = 1_000;

export const DROPPED_COUNTER = "access_logs.grpc_access_log.logs_dropped";

/** A gauge: streams that wait for a connection. */
const WAITING = `cluster.${ACCESS_LOG_CLUSTER}.upstream_rq_pending_active`;

const FILTER = `^(${[DROPPED_COUNTER, WAITING].join("|").replaceAll(".", "\\.")})$`;

export interface AccessLogLosses {
	/** @param sinceMs time of the previous reading */
	readonly dropped: (entries: number, sinceMs: number) => void;
}

export interface AccessLogWatch {
	/** Reads the counters at Envoy's end. @returns whether no stream waits for a connection; one that waits loses its entries */
	last(): Promise<boolean>;
	close(): void;
}

export interface AccessLogWatchOptions {
	readonly admin: Pick<EnvoyAdmin, "counters">;
	readonly clock: () => number;
	/** Envoy is just starting, so its counters begin at 0; otherwise the first reading is only a baseline. */
	readonly fresh: boolean;
	readonly everyMs?: number;
}

export function watchAccessLog(
	{ admin, clock, fresh, everyMs = DROPPED_CHECK_MS }: AccessLogWatchOptions,
	{ dropped }: AccessLogLosses,
): AccessLogWatch {
	let before: { readonly counters: Counters; readonly atMs: number } | null = fresh
		? { counters: new Map(), atMs: clock() }
		: null;
	let closed = false;
	let timer: NodeJS.Timeout | null = null;
	/** One reading at a time. */
	let reading: Promise<boolean> = Promise.resolve(true);
	const read = async (): Promise<boolean> => {
		const atMs = clock();
		const counters = await admin.counters(FILTER).catch(() => null);
		if (closed || counters === null) return false;
		const last = before;
		before = { counters, atMs };
		const entries = last === null ? 0 : movedBy(DROPPED_COUNTER, last.counters, counters);
		if (last !== null && entries > 0) dropped(entries, last.atMs);
		return (counters.get(WAITING) ?? 0) === 0;
	};
	const readNext = (): Promise<boolean> => {
		reading = reading.then(read);
		return reading;
	};
	const again = async (): Promise<void> => {
		await readNext();
		if (!closed) timer = setTimeout(() => void again(), everyMs).unref();
	};
	void again();
	return {
		last: readNext,
		close: () => {
			closed = true;
			if (timer !== null) clearTimeout(timer);
		},
	};
}
