/**
 * The binomial distribution, for n up to 1e12. n that is not a count, p outside [0, 1], or a NaN anywhere gives NaN; a
 * k that is not a count has mass 0.
 */
import { betaCdf, betaSf } from "./beta.js";
import { logBetaKernel } from "./incompleteBeta.js";
import { integerQuantile } from "./integerQuantile.js";

function valid(n: number, p: number): boolean {
	return Number.isSafeInteger(n) && n >= 0 && p >= 0 && p <= 1;
}

/** P(X = k), by Loader's deviances. */
export function binomialPmf(k: number, n: number, p: number): number {
	if (!valid(n, p) || Number.isNaN(k)) return Number.NaN;
	if (k < 0 || k > n || !Number.isInteger(k)) return 0;
	if (p === 0 || p === 1) return k === p * n ? 1 : 0;
	if (k === 0) return Math.exp(n * Math.log1p(-p));
	if (k === n) return Math.exp(n * Math.log(p));
	return Math.exp(logBetaKernel(p, 1 - p, k, n - k)) * (n / k / (n - k));
}

/** P(X ≤ k). */
export function binomialCdf(k: number, n: number, p: number): number {
	if (!valid(n, p) || Number.isNaN(k)) return Number.NaN;
	if (k < 0 || k >= n) return k < 0 ? 0 : 1;
	return betaSf(p, Math.floor(k) + 1, n - Math.floor(k));
}

/** P(X > k), computed directly. */
export function binomialSf(k: number, n: number, p: number): number {
	if (!valid(n, p) || Number.isNaN(k)) return Number.NaN;
	if (k < 0 || k >= n) return k < 0 ? 1 : 0;
	return betaCdf(p, Math.floor(k) + 1, n - Math.floor(k));
}

/** The smallest k with P(X ≤ k) ≥ quantile. NaN for a quantile outside [0, 1]. */
export function binomialQuantile(quantile: number, n: number, p: number): number {
	if (!valid(n, p) || !(quantile >= 0 && quantile <= 1)) return Number.NaN;
	if (p === 0 || p === 1) return quantile === 0 ? 0 : p * n;
	if (quantile === 0 || quantile === 1 || n === 0) return quantile === 0 ? 0 : n;
	const deviation = Math.sqrt(n * p * (1 - p));
	return integerQuantile(quantile, {
		max: n,
		mean: n * p,
		deviation,
		skewness: (1 - 2 * p) / deviation,
		cdf: (k) => binomialCdf(k, n, p),
		sf: (k) => binomialSf(k, n, p),
	});
}
