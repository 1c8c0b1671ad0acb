/** One reading of the counters that alarms go by, in an order that takes no request that is under way for an unjudged one. */
import { setImmediate as breath } from "node:timers/promises";
import type { Counters } from "../access/bypass/counters.js";
import { COUNTERS_FILTER } from "../access/bypass/probe.js";
import type { EnvoyAdmin } from "../access/bypass/reach.js";
import { CLUSTER_TRIES } from "../access/bypass/servedPast.js";
import { TRIES, VERDICTS_FILTER } from "../access/bypass/unjudged.js";
import { type EnvoyProcess, type Kept, readCounters, readProcess } from "./envoyCounters.js";

export interface Reading {
	/** What moves before a request is sent on as it was first, and all else. */
	readonly first: Counters;
	/** As it was last, and all else. */
	readonly last: Counters;
	/** Tries of clusters, with those of routes before they were read, and after. */
	readonly passed: { readonly first: Counters; readonly last: Counters };
	/** Whose they are. */
	readonly process: EnvoyProcess;
}

/** In one answer, in which Envoy writes clusters first and routes last. */
const LAST_FILTER = `^(${CLUSTER_TRIES})$|^(${TRIES})$|${VERDICTS_FILTER}`;
const OF_CLUSTER = /^cluster\./;
const OF_ROUTE = /^vhost\..+\.upstream_rq_total$/;

/**
 * Envoy is asked while requests pass: verdicts are read before tries, where what follows is compared with them, and again
 * after tries, where they are compared with what came before. So are tries of routes, for those of clusters.
 * @param kept left out = all
 * @throws UnreadPage where it cannot be read
 * @returns null where Envoy was started anew meanwhile
 */
export async function readReading(admin: EnvoyAdmin, kept?: Kept): Promise<Reading | null> {
	const process = await readProcess(admin);
	const first = await readCounters(admin, VERDICTS_FILTER, kept);
	const tries = await readCounters(admin, COUNTERS_FILTER, kept);
	const all = await readCounters(admin, LAST_FILTER, kept);
	for (const [name, value] of first) if ((all.get(name) ?? 0) < value) return null;
	// There may be tens of thousands: others have a turn between the steps.
	await breath();
	const only = (counters: Counters, names: RegExp) => [...counters].filter(([name]) => names.test(name));
	const clusters = only(all, OF_CLUSTER);
	const passed = {
		first: new Map([...clusters, ...only(tries, OF_ROUTE)]),
		last: new Map([...clusters, ...only(all, OF_ROUTE)]),
	};
	await breath();
	return { first: new Map([...first, ...tries]), last: new Map([...all, ...tries]), passed, process };
}

/** Envoy tells whole seconds, and either clock may be asked late. */
const START_SLACK_MS = 3_000;

/**
 * Whether another process than that of the reading before was read, also one that took over from it (a hot restart): its
 * counters began anew. Rather too often: more is compared with more then.
 */
export const isAnother = ({ process: before }: Reading, { process: now }: Reading): boolean =>
	(before.startedMs !== null &&
		now.startedMs !== null &&
		Math.abs(now.startedMs - before.startedMs) > START_SLACK_MS) ||
	(before.epoch !== null && now.epoch !== null && now.epoch !== before.epoch);
