/** Services that Envoys refused, or sidecars cannot execute, and answer 503 for instead, as xds reports them. Pure. */
import type { ClosedService, ProxyStatus } from "./ports.js";

/** One Service that is closed at one Envoy. */
export interface Closure extends Omit<ClosedService, "form"> {
	readonly node: string;
}

export const closuresOf = (proxies: readonly ProxyStatus[]): readonly Closure[] =>
	proxies.flatMap(({ node, closed = [] }) =>
		closed.map(({ service, why, sinceMs }) => ({ node, service, why, sinceMs })),
	);

/** Qualified names, sorted. */
export const closedServices = (proxies: readonly ProxyStatus[]): readonly string[] =>
	[...new Set(closuresOf(proxies).map(({ service }) => service))].sort();

/** One sentence for who may read the namespace. */
export function closureWords({ node, service, why, sinceMs }: Closure): string {
	const since = new Date(sinceMs).toISOString();
	return `Service ${service} answers 503 at ${node} since ${since}, which refuses its newest configuration: ${why.slice(0, 500)}`;
}
