/**
 * The gamma distribution with scale 1: the regularised incomplete gamma functions P and Q, each directly, for shapes
 * from 1e-3 to 1e10, their logarithms and quantiles.
 *
 * Relative error as that of the beta distribution (beta.ts); measured: 2e-11 at a shape of 1e-3, else 3e-14. A shape
 * that is not positive and finite, or x that is NaN, gives NaN; x below 0 is outside the support. Non-convergence
 * throws internal.
 */
import { incompleteGamma } from "./incompleteGamma.js";
import { lnGamma } from "./lnGamma.js";
import { normalQuantile } from "./normal.js";
import { solveLogTail } from "./root.js";
import { logSideOf, sideOf } from "./tail.js";

export { lnBeta, lnGamma } from "./lnGamma.js";

function valid(a: number): boolean {
	return a > 0 && a < Number.POSITIVE_INFINITY;
}

function value(a: number, x: number, lower: boolean): number {
	if (!valid(a) || Number.isNaN(x)) return Number.NaN;
	if (x <= 0 || x === Number.POSITIVE_INFINITY) return x <= 0 === lower ? 0 : 1;
	return sideOf(incompleteGamma(x, a), lower);
}

function logValue(a: number, x: number, lower: boolean): number {
	if (!valid(a) || Number.isNaN(x)) return Number.NaN;
	if (x <= 0 || x === Number.POSITIVE_INFINITY) return x <= 0 === lower ? Number.NEGATIVE_INFINITY : 0;
	return logSideOf(incompleteGamma(x, a), lower);
}

/** P(a, x) = P(X ≤ x). */
export function gammaP(a: number, x: number): number {
	return value(a, x, true);
}

/** Q(a, x) = P(X > x), computed directly. */
export function gammaQ(a: number, x: number): number {
	return value(a, x, false);
}

/** ln P(a, x). */
export function logGammaP(a: number, x: number): number {
	return logValue(a, x, true);
}

/** ln Q(a, x). */
export function logGammaQ(a: number, x: number): number {
	return logValue(a, x, false);
}

/** A first guess of ln x: Wilson and Hilferty's cube, or the power law below and the exponential above. */
function guess(a: number, lower: boolean, logTail: number): number {
	const z = normalQuantile(Math.exp(logTail)) * (lower ? 1 : -1);
	const root = 1 - 1 / (9 * a) + z / (3 * Math.sqrt(a));
	if (a >= 0.5 && root > 0.2) return Math.log(a) + 3 * Math.log(root);
	if (lower) return Math.min((logTail + lnGamma(a + 1)) / a, Math.log(a + 1));
	return Math.log(Math.max(a, -logTail - lnGamma(a)));
}

/** Below e^this the power law xᵃ/Γ(a+1) of the lower tail is exact to double precision. */
const POWER_LAW_ALONE = -600;

/** The x whose lower or upper tail has the given logarithm: ln X has a log-concave density, so Newton on ln x. */
function point(a: number, lower: boolean, logTail: number): number {
	if (lower && a < 2) {
		const end = (logTail + lnGamma(a + 1)) / a;
		if (end < POWER_LAW_ALONE) return Math.exp(end);
	}
	const u = solveLogTail(
		(u) => {
			const tail = incompleteGamma(Math.max(Math.exp(u), 1e-300), a);
			const value = logSideOf(tail, lower);
			const slope = Math.exp(tail.logKernel - value);
			return { value, slope: lower ? slope : -slope };
		},
		logTail,
		guess(a, lower, logTail),
		1 / Math.sqrt(a),
	);
	return Math.exp(u);
}

/** The x with P(a, x) = p; 0 at p = 0, ∞ at p = 1. NaN for p outside [0, 1]. */
export function gammaQuantile(p: number, a: number): number {
	if (!valid(a) || !(p >= 0 && p <= 1)) return Number.NaN;
	if (p === 0 || p === 1) return p === 0 ? 0 : Number.POSITIVE_INFINITY;
	return p <= 0.5 ? point(a, true, Math.log(p)) : point(a, false, Math.log1p(-p));
}

/** The x with Q(a, x) = q. */
export function gammaIsf(q: number, a: number): number {
	if (!valid(a) || !(q >= 0 && q <= 1)) return Number.NaN;
	if (q === 0 || q === 1) return q === 1 ? 0 : Number.POSITIVE_INFINITY;
	return q <= 0.5 ? point(a, false, Math.log(q)) : point(a, true, Math.log1p(-q));
}
