/** From when to when an SVID holds, and whether the next one is overdue. Pure. */
import { IDENTITY_BACKDATE_MS, IDENTITY_UNRENEWED_SHARE } from "../../limits/index.js";

export interface Validity {
	readonly notBeforeMs: number;
	readonly notAfterMs: number;
}

/** What it was made for, or a little less: authorities date certificates back for clocks that go after, `weir ca` by a minute, SPIRE by 10 s. */
export const lifeMs = ({ notBeforeMs, notAfterMs }: Validity): number =>
	notAfterMs - notBeforeMs - IDENTITY_BACKDATE_MS;

/** Whether its agent should have given another one long ago. */
export function isUnrenewed(validity: Validity, nowMs: number): boolean {
	const leftMs = validity.notAfterMs - nowMs;
	// A life below what it was dated back by is none by the times: of such only the end is told.
	return leftMs <= 0 || leftMs < lifeMs(validity) * IDENTITY_UNRENEWED_SHARE;
}

/** Which ends first; null = there is none. */
export const firstToEnd = (validities: Iterable<Validity>): Validity | null =>
	[...validities].reduce<Validity | null>(
		(first, one) => (first === null || one.notAfterMs < first.notAfterMs ? one : first),
		null,
	);
