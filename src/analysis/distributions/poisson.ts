/**
 * The Poisson distribution, for rates up to 1e12. A rate that is negative, infinite or NaN, or k that is NaN, gives
 * NaN; a k that is not a count has mass 0.
 */
import { gammaP, gammaQ } from "./gamma.js";
import { logGammaKernel } from "./incompleteGamma.js";
import { integerQuantile } from "./integerQuantile.js";

function valid(rate: number): boolean {
	return rate >= 0 && rate < Number.POSITIVE_INFINITY;
}

/** P(X = k), by Loader's deviance. */
export function poissonPmf(k: number, rate: number): number {
	if (!valid(rate) || Number.isNaN(k)) return Number.NaN;
	if (k < 0 || !Number.isInteger(k)) return 0;
	if (k === 0 || rate === 0) return k === 0 ? Math.exp(-rate) : 0;
	return Math.exp(logGammaKernel(rate, k)) / k;
}

/** P(X ≤ k). */
export function poissonCdf(k: number, rate: number): number {
	if (!valid(rate) || Number.isNaN(k)) return Number.NaN;
	if (k < 0 || k === Number.POSITIVE_INFINITY) return k < 0 ? 0 : 1;
	return gammaQ(Math.floor(k) + 1, rate);
}

/** P(X > k), computed directly. */
export function poissonSf(k: number, rate: number): number {
	if (!valid(rate) || Number.isNaN(k)) return Number.NaN;
	if (k < 0 || k === Number.POSITIVE_INFINITY) return k < 0 ? 1 : 0;
	return gammaP(Math.floor(k) + 1, rate);
}

/** The smallest k with P(X ≤ k) ≥ p; ∞ at p = 1 unless the rate is 0. NaN for p outside [0, 1]. */
export function poissonQuantile(p: number, rate: number): number {
	if (!valid(rate) || !(p >= 0 && p <= 1)) return Number.NaN;
	if (p === 0 || rate === 0) return 0;
	if (p === 1) return Number.POSITIVE_INFINITY;
	const deviation = Math.sqrt(rate);
	return integerQuantile(p, {
		max: Number.MAX_SAFE_INTEGER,
		mean: rate,
		deviation,
		skewness: 1 / deviation,
		cdf: (k) => poissonCdf(k, rate),
		sf: (k) => poissonSf(k, rate),
	});
}
