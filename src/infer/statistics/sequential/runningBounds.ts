/**
 * The result of all looks together: the intersection of the confidence sequence's intervals and the smallest
 * p-value. A plain value that is stored with the decision; each look makes the next one from it.
 *
 * It is as valid as one look, and tighter: a sequence covers the truth at all looks at once with probability
 * 1 − alpha, so the truth is in every interval, and Ville's inequality bounds the largest e-value. It presumes one
 * truth: where the effect itself moves over the run (novelty), the intersection may be empty, which `contradicted`
 * reports.
 */
import type { Bounds } from "./bernoulliBounds.js";

export interface RunningBounds extends Bounds {
	readonly p: number;
	/** Looks with a result. */
	readonly looks: number;
	/** The intervals had no common point: the effect moved, or an error of probability alpha happened. Stays set. */
	readonly contradicted: boolean;
}

/** The result of one look; unknown fields may be left out. */
export type Look = Partial<Bounds & { readonly p: number }>;

export const NO_LOOKS: RunningBounds = {
	lower: Number.NEGATIVE_INFINITY,
	upper: Number.POSITIVE_INFINITY,
	p: 1,
	looks: 0,
	contradicted: false,
};

/**
 * The history with one more look. NaN counts as unknown. After a contradiction the last look's own interval stands, so that
 * what is shown is an interval.
 */
export function afterLook(history: RunningBounds, look: Look): RunningBounds {
	const known = (value: number | undefined, nothing: number): number =>
		value === undefined || Number.isNaN(value) ? nothing : value;
	const own = {
		lower: known(look.lower, Number.NEGATIVE_INFINITY),
		upper: known(look.upper, Number.POSITIVE_INFINITY),
		p: known(look.p, 1),
	};
	if (!(own.lower > Number.NEGATIVE_INFINITY || own.upper < Number.POSITIVE_INFINITY || own.p < 1)) return history;
	const lower = Math.max(history.lower, own.lower);
	const upper = Math.min(history.upper, own.upper);
	const empty = lower > upper;
	return {
		lower: empty ? own.lower : lower,
		upper: empty ? own.upper : upper,
		p: Math.min(history.p, own.p),
		looks: history.looks + 1,
		contradicted: history.contradicted || empty,
	};
}
