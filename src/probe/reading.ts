/** One reading of the counters that alarms go by, in an order that takes no request that is under way for an unjudged one. */
import type { Counters } from "../access/counters.js";
import { COUNTERS_FILTER } from "../access/probe.js";
import { CLUSTER_TRIES } from "../access/servedPast.js";
import { TRIES, VERDICTS_FILTER } from "../access/unjudged.js";
import { readCounters, readUptime } from "./envoyCounters.js";

export interface Reading {
	/** What moves before a request is sent on as it was first, and all else. */
	readonly first: Counters;
	/** As it was last, and all else. */
	readonly last: Counters;
	/** Tries of clusters, with those of routes before they were read, and after. */
	readonly passed: { readonly first: Counters; readonly last: Counters };
	/** When that Envoy started, by performance.now(); null = it does not say. */
	readonly startedMs: number | null;
}

/** In one answer, in which Envoy writes clusters first and routes last. */
const LAST_FILTER = `^(${CLUSTER_TRIES})$|^(${TRIES})$|${VERDICTS_FILTER}`;
const OF_CLUSTER = /^cluster\./;
const OF_ROUTE = /^vhost\..+\.upstream_rq_total$/;

/**
 * Envoy is asked while requests pass: verdicts are read before tries, where what follows is compared with them, and again
 * after tries, where they are compared with what came before. So are tries of routes, for those of clusters.
 * @param adminSocket UNIX socket of Envoy's admin
 * @throws WeirError `unavailable` where it cannot be read
 * @returns null where Envoy was started anew meanwhile
 */
export async function readReading(adminSocket: string): Promise<Reading | null> {
	const uptimeMs = await readUptime(adminSocket);
	const startedMs = uptimeMs === null ? null : performance.now() - uptimeMs;
	const first = await readCounters(adminSocket, VERDICTS_FILTER, "used");
	const tries = await readCounters(adminSocket, COUNTERS_FILTER);
	const all = await readCounters(adminSocket, LAST_FILTER, "used");
	for (const [name, value] of first) if ((all.get(name) ?? 0) < value) return null;
	const only = (counters: Counters, names: RegExp) => [...counters].filter(([name]) => names.test(name));
	const clusters = only(all, OF_CLUSTER);
	return {
		first: new Map([...first, ...tries]),
		last: new Map([...all, ...tries]),
		passed: {
			first: new Map([...clusters, ...only(tries, OF_ROUTE)]),
			last: new Map([...clusters, ...only(all, OF_ROUTE)]),
		},
		startedMs,
	};
}

/** Envoy tells whole seconds, and either clock may be asked late. */
const START_SLACK_MS = 3_000;

/** Whether another process than that of the reading before was read. Rather too often: more is compared with more then. */
export const isAnother = ({ startedMs: before }: Reading, { startedMs: now }: Reading): boolean =>
	before !== null && now !== null && Math.abs(now - before) > START_SLACK_MS;
