/** The caller's SPIFFE id from Envoy's attributes. */

import { isWorkloadId } from "../../declare/resources/spiffe.js";

/** Callers whose parsed ids a sidecar caches: 1,000 of at most 8 KiB. */
export const CALLERS_CACHED_MAX = 1_000;

/** A cache, because the check takes microseconds and a sidecar has few callers. */
const known = new Map<string, string | null>();

/** @param principal as Envoy sends it: without a URI in the certificate, ext_authz sends a DNS name or the Subject, which is no identity */
export function callerOf(principal: string): string | null {
	const cached = known.get(principal);
	if (cached !== undefined) return cached;
	const caller = isWorkloadId(principal) ? principal : null;
	if (known.size >= CALLERS_CACHED_MAX) known.clear();
	known.set(principal, caller);
	return caller;
}
