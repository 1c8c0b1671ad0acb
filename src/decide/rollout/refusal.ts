/** Published resources that an Envoy or a sidecar has rejected, as the publisher reports them. Pure. */
import type { ProxyStatus } from "./ports.js";

export interface Refusal {
	readonly node: string;
	/** routes, listeners, clusters, endpoints or tables. */
	readonly type: string;
	/** The Weir resource that it was compiled from; empty = unknown. */
	readonly source: string;
	/** The client's error message. */
	readonly error: string;
	readonly sinceMs: number;
	/** The newest revision that was fully acknowledged; null = none on this stream. */
	readonly revision: number | null;
}

/** Current rejections. One that is being sent again stays until it is acknowledged. */
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
	const detail = error === "" ? "" : `: ${error.slice(0, 500)}`;
	return `${node} refuses ${what} since ${new Date(sinceMs).toISOString()}${detail}; ${holds} there, of all Services`;
}
