/** Who calls, out of what Envoy tells: a workload's SPIFFE id, strictly, or nobody. */

import { isWorkloadId } from "../../declare/resources/spiffe.js";
import { CALLERS_CACHED_MAX } from "../../limits/index.js";

/** Judging an id anew at each request would take some microseconds; the callers of a sidecar are few. */
const known = new Map<string, string | null>();

/** @param told where a certificate has no URI, ext_authz is told its DNS name or its Subject: no identity. Empty = nothing */
export function callerOf(told: string): string | null {
	const before = known.get(told);
	if (before !== undefined) return before;
	const caller = isWorkloadId(told) ? told : null;
	if (known.size >= CALLERS_CACHED_MAX) known.clear();
	known.set(told, caller);
	return caller;
}
