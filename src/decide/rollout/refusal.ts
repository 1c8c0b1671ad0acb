/** What of the published an Envoy or a sidecar has refused, as xds reports it. Pure. */
import type { ProxyStatus } from "./ports.js";

export interface Refusal {
	readonly node: string;
	/** routes, listeners, clusters, endpoints or tables. */
	readonly type: string;
	/** The Weir resource that it came from, as far as that is known; else empty. */
	readonly source: string;
	/** The client's own words. */
	readonly error: string;
	readonly sinceMs: number;
	/** The newest revision that holds there wholly; null = none of this stream. */
	readonly revision: number | null;
}

/** Those that stand. What is just being sent again stands until it is taken. */
export function refusalsOf(proxies: readonly ProxyStatus[]): readonly Refusal[] {
	return proxies.flatMap(({ node, connectedAtMs, revision = null, types }) =>
		Object.entries(types).flatMap(([type, { state, source, error, refusedSinceMs }]) =>
			state === "ERROR" || refusedSinceMs !== undefined
				? [{ node, type, source, error, sinceMs: refusedSinceMs ?? connectedAtMs, revision }]
				: [],
		),
	);
}

/** One sentence for a person. */
export function refusalText({ node, type, source, error, sinceMs, revision }: Refusal): string {
	const what = source === "" ? type : `${type} of ${source}`;
	const holds = revision === null ? "what it had before this connection holds" : `revision ${revision} holds`;
	const words = error === "" ? "" : `: ${error.slice(0, 500)}`;
	return `${node} refuses ${what} since ${new Date(sinceMs).toISOString()}${words}; ${holds} there, of all Services`;
}
