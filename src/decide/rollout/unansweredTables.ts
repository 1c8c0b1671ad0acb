/** Sidecars that have not acknowledged or rejected their newest table for too long, as the publisher reports them. Pure. */
import { PUBLICATION_LAG_MS } from "../../limits/index.js";
import type { ProxyStatus } from "./ports.js";

export interface UnansweredTable {
	readonly node: string;
	readonly sinceMs: number;
}

/** They hang or are far too slow. Requests that were denied since may still pass there, as with an old publication. */
export function unansweredTables(proxies: readonly ProxyStatus[], nowMs: number): readonly UnansweredTable[] {
	return proxies.flatMap(({ node, types }) => {
		const sinceMs = types.tables?.unansweredSinceMs;
		return sinceMs === undefined || nowMs - sinceMs < PUBLICATION_LAG_MS ? [] : [{ node, sinceMs }];
	});
}

/** One sentence for a person. */
export const unansweredTableText = ({ node, sinceMs }: UnansweredTable): string =>
	`sidecar ${node} has not accepted its newest table since ${new Date(sinceMs).toISOString()}`;
