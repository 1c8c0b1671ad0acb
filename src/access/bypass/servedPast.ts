/**
 * Whether a protected Service was served by what is no Gateway's: its clusters were sent more tries than its routes have.
 * Mirrored requests there are none, and Envoy counts no health check among a cluster's requests.
 */
import type { Counters } from "./counters.js";

/** Requests reached a protected Service by a listener that is no Gateway's, or by a route that is not Weir's. */
export interface PastAlarm {
	readonly alarm: "served-past-gateways";
	/** Of none. */
	readonly gateway: "";
	/** Qualified name. */
	readonly service: string;
	/** How many tries, at least. */
	readonly served: number;
}

/** Tries by routes and by clusters, between two readings of one Envoy whose routes have not changed. */
export interface Passed {
	/** Routes' as they were before clusters were read. */
	readonly before: Counters;
	/** And as they were after. */
	readonly after: Counters;
}

export interface TriesOf {
	/** Of its clusters. */
	readonly sent: number;
	/** How many of them by none of its routes; null = its counters were reset, so that nobody can say. */
	readonly past: number | null;
}

/** By Service. */
export function triesBetween({ before, after }: Passed): ReadonlyMap<string, TriesOf> {
	const tries = new Map<string, TriesOf>();
	for (const name of new Set([...before.keys(), ...after.keys()])) {
		const cluster = CLUSTER.exec(name)?.[1];
		const service = cluster ?? ROUTE.exec(name)?.[1];
		if (service === undefined) continue;
		const { sent, past } = tries.get(service) ?? { sent: 0, past: 0 };
		const moved = (after.get(name) ?? 0) - (before.get(name) ?? 0);
		if (cluster !== undefined) {
			// A Variant that is gone, or was and came again, hides what it was sent.
			const more = Math.max(0, moved);
			tries.set(service, { sent: sent + more, past: past === null ? null : past + more });
		} else tries.set(service, { sent, past: past === null || moved < 0 ? null : past - moved });
	}
	return tries;
}

/** Requests of all Gateways that have not ended: as many may have come by routes of before, which counted none. */
export function underWayAtAll(at: Counters): number {
	let sum = 0;
	for (const [name, value] of at) if (ACTIVE.test(name)) sum += value;
	return sum;
}

/** Gateways of the Envoy that were ever asked, by its counters. */
export const gatewaysAt = (at: Counters): readonly string[] =>
	[...at.keys()].flatMap((name) => ACTIVE.exec(name)?.[1] ?? []);

const ACTIVE = /^http\.gateway\.(.+)\.downstream_rq_active$/;
const ROUTE = /^vhost\.(.+)\.route\..+\.upstream_rq_total$/;
/** Of a Variant: compiler/plan.ts. No Variant's name has a slash. */
const CLUSTER = /^cluster\.(.+)\/[^/]+\.upstream_rq_total$/;

/** Those of clusters as an expression for Envoy's `/stats?filter=`. */
export const CLUSTER_TRIES = "cluster\\..+/[^/]+\\.upstream_rq_total";
