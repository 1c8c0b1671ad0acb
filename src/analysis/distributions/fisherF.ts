/**
 * Fisher's F distribution with df1, df2 > 0 degrees of freedom. Both df1·x/(df1·x + df2) and its complement are
 * formed directly, so that neither tail loses digits. Invalid arguments give NaN.
 */
import { betaPoint } from "./beta.js";
import { incompleteBeta } from "./incompleteBeta.js";
import { logSideOf, sideOf, type Tail } from "./tail.js";

function valid(df1: number, df2: number): boolean {
	return df1 > 0 && df2 > 0 && df1 < Number.POSITIVE_INFINITY && df2 < Number.POSITIVE_INFINITY;
}

/** The tail at x, or nothing where x is so near an end of the support that it is beyond every double. */
function tailAt(x: number, df1: number, df2: number): Tail | undefined {
	const above = df1 * x;
	const sum = above + df2;
	if (!(x > 0) || !(above / sum > 0) || !(df2 / sum > 0)) return undefined;
	return incompleteBeta(above / sum, df2 / sum, df1 / 2, df2 / 2);
}

function value(x: number, df1: number, df2: number, lower: boolean): number {
	if (!valid(df1, df2) || Number.isNaN(x)) return Number.NaN;
	const tail = tailAt(x, df1, df2);
	if (tail !== undefined) return sideOf(tail, lower);
	return df1 * x < df2 === lower ? 0 : 1;
}

/** P(X ≤ x). */
export function fisherFCdf(x: number, df1: number, df2: number): number {
	return value(x, df1, df2, true);
}

/** P(X > x): the p-value of an F test, computed directly. */
export function fisherFSf(x: number, df1: number, df2: number): number {
	return value(x, df1, df2, false);
}

/** ln P(X > x). */
export function logFisherFSf(x: number, df1: number, df2: number): number {
	const tail = valid(df1, df2) ? tailAt(x, df1, df2) : undefined;
	return tail === undefined ? Math.log(value(x, df1, df2, false)) : logSideOf(tail, false);
}

function point(lower: boolean, logTail: number, df1: number, df2: number): number {
	const { x, y } = betaPoint(lower, logTail, df1 / 2, df2 / 2);
	return (df2 / df1) * (x / y);
}

/** The x with P(X ≤ x) = p: 0 at p = 0, ∞ at p = 1. NaN for p outside [0, 1]. */
export function fisherFQuantile(p: number, df1: number, df2: number): number {
	if (!valid(df1, df2) || !(p >= 0 && p <= 1)) return Number.NaN;
	if (p === 0 || p === 1) return p === 0 ? 0 : Number.POSITIVE_INFINITY;
	return p <= 0.5 ? point(true, Math.log(p), df1, df2) : point(false, Math.log1p(-p), df1, df2);
}

/** The x with P(X > x) = q. */
export function fisherFIsf(q: number, df1: number, df2: number): number {
	if (!valid(df1, df2) || !(q >= 0 && q <= 1)) return Number.NaN;
	if (q === 0 || q === 1) return q === 1 ? 0 : Number.POSITIVE_INFINITY;
	return q <= 0.5 ? point(false, Math.log(q), df1, df2) : point(true, Math.log1p(-q), df1, df2);
}
