/**
 * Refused xDS streams as the audit log and the log get them: each id once a minute for each reason, so that a client that tries
 * again fills nothing, and hides no reason behind another.
 */
import { XDS_REFUSALS_AUDITED_MS, XDS_REFUSED_IDS_MAX } from "../../limits.js";
import type { RefusedFor } from "../../xds/peer.js";

export interface RefusedStream {
	/** Proved by mTLS; null = none was. */
	readonly id: string | null;
	readonly reason: RefusedFor;
	readonly atMs: number;
}

/** @param tell whether it succeeds is its own matter */
export function refusedStreams(
	tell: (refused: RefusedStream) => void,
	nowMs: () => number = Date.now,
): (reason: RefusedFor, id: string | null) => void {
	const told = new Map<string, number>();
	return (reason, id) => {
		const atMs = nowMs();
		for (const [key, at] of told) if (atMs - at >= XDS_REFUSALS_AUDITED_MS) told.delete(key);
		const own = `${reason} ${id ?? ""}`;
		// Of more than are remembered, one a minute of each reason.
		const key = told.has(own) || told.size < XDS_REFUSED_IDS_MAX ? own : reason;
		if (told.has(key)) return;
		told.set(key, atMs);
		tell({ id, reason, atMs });
	};
}
