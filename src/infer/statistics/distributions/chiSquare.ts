/**
 * The chi-square distribution with df > 0 degrees of freedom: a gamma distribution of shape df/2 and scale 2.
 */
import { gammaIsf, gammaP, gammaQ, gammaQuantile, logGammaQ } from "./gamma.js";

/** P(X ≤ x). */
export function chiSquareCdf(x: number, df: number): number {
	return gammaP(df / 2, x / 2);
}

/** P(X > x): the p-value of a chi-square test, computed directly. */
export function chiSquareSf(x: number, df: number): number {
	return gammaQ(df / 2, x / 2);
}

/** ln P(X > x). */
export function logChiSquareSf(x: number, df: number): number {
	return logGammaQ(df / 2, x / 2);
}

/** The x with P(X ≤ x) = p. */
export function chiSquareQuantile(p: number, df: number): number {
	return 2 * gammaQuantile(p, df / 2);
}

/** The x with P(X > x) = q. */
export function chiSquareIsf(q: number, df: number): number {
	return 2 * gammaIsf(q, df / 2);
}
