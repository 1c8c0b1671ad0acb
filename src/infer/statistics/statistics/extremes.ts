/**
 * The least and the greatest value of each variable. Moments do not hold them; they merge as moments do, and show how far
 * one unit alone can move a mean.
 */

/** The range of one variable's values. */
export interface Extremes {
	readonly lo: number;
	readonly hi: number;
}

/** The extremes of no values; merging them changes nothing. */
export const NO_EXTREMES: Extremes = { lo: Number.POSITIVE_INFINITY, hi: Number.NEGATIVE_INFINITY };

/** The extremes of both samples together. */
export function mergeExtremes(a: Extremes, b: Extremes): Extremes {
	return { lo: Math.min(a.lo, b.lo), hi: Math.max(a.hi, b.hi) };
}

/** Merges variable by variable; the result has as many variables as the longer list. */
export function mergeAllExtremes(a: readonly Extremes[], b: readonly Extremes[]): Extremes[] {
	const [more, fewer] = a.length >= b.length ? [a, b] : [b, a];
	return more.map((one, i) => mergeExtremes(one, fewer[i] ?? NO_EXTREMES));
}

/** By which share the means of equal values may differ: compensated sums stay far below, plain ones of a hundred values too. */
const ONE_VALUE = 2 ** -44;

/**
 * Whether all values are one, within the precision of doubles. Merged means of 0.1 leave squares of 1e-31, and a spread that is
 * rounding alone makes anything significant.
 */
export function isOneValue({ lo, hi }: Extremes): boolean {
	return lo <= hi && hi - lo <= ONE_VALUE * Math.max(Math.abs(lo), Math.abs(hi));
}

/** Rounding error of means and variances next to exact extremes. */
const SLACK = 1e-6;

/** Why these are the extremes of no values with this mean; or empty. */
export function problemOfExtremes({ lo, hi }: Extremes, mean: number): string {
	if (!(Number.isFinite(lo) && Number.isFinite(hi))) return `${saidOf({ lo, hi })}, where values are`;
	return isBetween(mean, { lo, hi }) ? "" : `${saidOf({ lo, hi })}, and the mean ${mean} is not between them`;
}

const roundingOf = ({ lo, hi }: Extremes, mean: number): number => SLACK * Math.max(hi - lo, Math.abs(mean) * SLACK);

function isBetween(mean: number, { lo, hi }: Extremes): boolean {
	const rounding = roundingOf({ lo, hi }, mean);
	return lo <= mean + rounding && mean <= hi + rounding;
}

/** Rounding by which a mean of values in a range may leave it, as a share of the range: 0.7 six times has the mean 0.7000000000000001. */
export const RANGE_SLACK = 1e-9;

/** Why these are the extremes of no values in the range; or empty. @param slack as a share of the range */
export function problemOfRange({ lo, hi }: Extremes, range: Extremes, slack: number = RANGE_SLACK): string {
	const rounding = slack * (range.hi - range.lo);
	if (lo >= range.lo - rounding && hi <= range.hi + rounding) return "";
	return `${saidOf({ lo, hi })}, outside of its range [${range.lo}, ${range.hi}]`;
}

const saidOf = ({ lo, hi }: Extremes): string => `the least value is ${lo} and the greatest ${hi}`;

/**
 * How far the farthest value lies from the mean. NaN where no sample has such moments and extremes: the mean lies between
 * them, and the farthest value is at least a standard deviation away.
 */
export function farthest({ lo, hi }: Extremes, n: number, mean: number, m2: number): number {
	const distance = Math.max(hi - mean, mean - lo);
	const least = Math.sqrt(m2 / n) * (1 - SLACK) - roundingOf({ lo, hi }, mean);
	const holds = isBetween(mean, { lo, hi }) && distance >= least;
	return holds && Number.isFinite(distance) ? distance : Number.NaN;
}
