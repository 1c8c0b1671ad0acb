/** Sidecars that have not said for too long whether they take the table that they were sent, as xds reports it. Pure. */
import { PUBLICATION_LAG_MS } from "../../limits/index.js";
import type { ProxyStatus } from "./ports.js";

export interface UnansweredTable {
	readonly node: string;
	readonly sinceMs: number;
}

/** They hang, or are far too slow: what was denied since may pass there, as with a publication that stands still for so long. */
export function unansweredTables(proxies: readonly ProxyStatus[], nowMs: number): readonly UnansweredTable[] {
	return proxies.flatMap(({ node, types }) => {
		const sinceMs = types.tables?.unansweredSinceMs;
		return sinceMs === undefined || nowMs - sinceMs < PUBLICATION_LAG_MS ? [] : [{ node, sinceMs }];
	});
}

/** One sentence for a person. */
export const unansweredTableText = ({ node, sinceMs }: UnansweredTable): string =>
	`sidecar ${node} has not taken its newest table since ${new Date(sinceMs).toISOString()}`;
