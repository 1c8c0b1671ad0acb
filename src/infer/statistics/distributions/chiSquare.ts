/**
 * The chi-square distribution with df > 0 degrees of freedom: a gamma distribution of shape df/2 and scale 2.
 */
import { gammaQ, logGammaQ } from "./gamma.js";

/** P(X > x): the p-value of a chi-square test, computed directly. */
export function chiSquareSf(x: number, df: number): number {
	return gammaQ(df / 2, x / 2);
}

/** ln P(X > x). */
export function logChiSquareSf(x: number, df: number): number {
	return logGammaQ(df / 2, x / 2);
}
