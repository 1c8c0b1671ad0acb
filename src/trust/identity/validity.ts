/** The validity of SVIDs, and whether a renewal is overdue. Pure. */
import { IDENTITY_BACKDATE_MS } from "../../limits/index.js";

/** Below this share of its life an SVID is reported as not renewed: agents renew at half or two thirds. */
export const IDENTITY_UNRENEWED_SHARE = 1 / 4;

export interface Validity {
	readonly notBeforeMs: number;
	readonly notAfterMs: number;
}

/** The lifetime, or a little less: CAs backdate certificates for slow clocks, `weir ca` by a minute, SPIRE by 10 s. */
export const lifeMs = ({ notBeforeMs, notAfterMs }: Validity): number =>
	notAfterMs - notBeforeMs - IDENTITY_BACKDATE_MS;

/** Whether the agent should have renewed the SVID long ago. */
export function isUnrenewed(validity: Validity, nowMs: number): boolean {
	const leftMs = validity.notAfterMs - nowMs;
	// A lifetime shorter than the backdating is negative here: then only the end counts.
	return leftMs <= 0 || leftMs < lifeMs(validity) * IDENTITY_UNRENEWED_SHARE;
}

/** The one that ends first; null for an empty list. */
export const firstToEnd = (validities: Iterable<Validity>): Validity | null =>
	[...validities].reduce<Validity | null>(
		(first, one) => (first === null || one.notAfterMs < first.notAfterMs ? one : first),
		null,
	);
