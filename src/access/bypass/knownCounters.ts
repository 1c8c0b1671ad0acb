/** Which of an Envoy's counters are of use: those of Gateways and Services that it was, or is, to have. */
import { REMOTE_COUNTERS_MAX } from "../../limits.js";
import { DROPPED_COUNTER } from "./probe.js";

export interface Known {
	/** By its qualified name. */
	readonly gateway: (name: string) => boolean;
	readonly service: (name: string) => boolean;
	/** How many counters these can have that ever moved, amply. */
	readonly most: number;
}

/**
 * Four for each Service at each Gateway, and one for each Variant: twice that, and as many as a few Services with very many
 * Variants have. Who says more does not say what Envoy counts.
 */
export const mostCounters = (gateways: number, services: number): number =>
	Math.min(REMOTE_COUNTERS_MAX, 20_000 + 2 * services * (4 * gateways + 10));

/** No name has a dot. */
const OF_ROUTE = /^vhost\.([^.]+)\.route\.([^.]+)\./;
const OF_CLUSTER = /^cluster\.([^.]+)\/[^./]+\./;
const OF_GATEWAY = /^(?:http|listener|connection_limit)\.gateway\.([^.]+)\./;

/** @param counter its full name */
export function isOfUse(counter: string, { gateway, service }: Omit<Known, "most">): boolean {
	const [, ofService, at] = OF_ROUTE.exec(counter) ?? [];
	if (ofService !== undefined && at !== undefined) return service(ofService) && gateway(at);
	const sent = OF_CLUSTER.exec(counter)?.[1];
	if (sent !== undefined) return service(sent);
	const own = OF_GATEWAY.exec(counter)?.[1];
	return own === undefined ? counter === DROPPED_COUNTER : gateway(own);
}
