/**
 * The upper tail of the gamma distribution with scale 1, computed directly, for shapes from 1e-3 to 1e10.
 *
 * Relative error as that of the beta distribution (beta.ts); measured: 2e-11 at a shape of 1e-3, else 3e-14. A shape
 * that is not positive and finite, or x that is NaN, gives NaN; x below 0 is outside the support. Non-convergence
 * throws internal.
 */
import { incompleteGamma } from "./incompleteGamma.js";
import { logSideOf, sideOf } from "./tail.js";

const isInvalid = (a: number, x: number): boolean => !(a > 0 && a < Number.POSITIVE_INFINITY) || Number.isNaN(x);

/** Q(a, x) = P(X > x). */
export function gammaQ(a: number, x: number): number {
	if (isInvalid(a, x)) return Number.NaN;
	if (x <= 0 || x === Number.POSITIVE_INFINITY) return x <= 0 ? 1 : 0;
	return sideOf(incompleteGamma(x, a), false);
}

/** ln Q(a, x). */
export function logGammaQ(a: number, x: number): number {
	if (isInvalid(a, x)) return Number.NaN;
	if (x <= 0 || x === Number.POSITIVE_INFINITY) return x <= 0 ? 0 : Number.NEGATIVE_INFINITY;
	return logSideOf(incompleteGamma(x, a), false);
}
