/**
 * Asymptotic confidence sequences for means (AsympCS), one- and two-sided, from moments alone.
 * Source: Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas, "Time-uniform central limit theory and asymptotic
 * confidence sequences", arXiv 2103.06476v7, equations 9, 134 and 155. Asymptotic: the error holds from a minimum
 * sample on, not at every n, and never for rare events; rates and errors go to the Bernoulli mixture instead.
 */

import { negativeLambertW } from "../distributions/lambertW.js";
import type { Moments } from "../evidence.js";

/**
 * Minimum of units in the smaller arm. The check for a unit that outweighs the others (tails.ts) is enough for every
 * distribution in `npm run calibrate`, but it only sees observed values: among a few hundred units rare large ones are missing.
 */
export const ASYMPCS_MIN_UNITS = 2_000;

/** Total units at which the sequence is tightest; the cost of being elsewhere by a factor of 10 is about a quarter. */
export const ASYMPCS_TUNED_AT = 5_000;

/**
 * ρ that makes the boundary tightest at N* units, exact: N*ρ² = −W₋₁(−α²/e) − 1 (v7, appendix on tuning; equation
 * 161 is its approximation). For a one-sided sequence pass 2α.
 */
export function rho(alpha: number, tunedAt: number): number {
	if (last.alpha !== alpha || last.tunedAt !== tunedAt)
		last = { alpha, tunedAt, rho: Math.sqrt((negativeLambertW(1 - 2 * Math.log(alpha)) - 1) / tunedAt) };
	return last.rho;
}

/** Cached: bounds and p-value of one claim use the same ρ, which needs a search. */
let last = { alpha: Number.NaN, tunedAt: Number.NaN, rho: Number.NaN };

/**
 * Equation 161, the approximation of `rho` that GrowthBook uses; 1.7 % off at 5 %, and valid like any fixed ρ. Only tests use
 * it, to reproduce the published numbers of GrowthBook and confseq.
 */
export function approximateRho(alpha: number, tunedAt: number): number {
	const log = -2 * Math.log(alpha);
	return Math.sqrt((log + Math.log(log + 1)) / tunedAt);
}

/** Half width at N units of standard deviation s, two-sided at alpha: equation 9. */
export function halfWidth(s: number, n: number, alpha: number, r: number): number {
	const v = n * r * r + 1;
	return s * Math.sqrt(((2 * v) / (n * n * r * r)) * Math.log(Math.sqrt(v) / alpha));
}

/** Distance of the one-sided bound at alpha: equation 134. Pass ρ tuned for 2α. */
export function halfWidthOneSided(s: number, n: number, alpha: number, r: number): number {
	const v = n * r * r + 1;
	return s * Math.sqrt(((2 * v) / (n * n * r * r)) * Math.log1p(Math.sqrt(v) / (2 * alpha)));
}

/** Anytime p-value of the two-sided test of `estimate = 0` with standard error se at N units: equation 155. */
export function pValue(estimate: number, se: number, n: number, r: number): number {
	const v = n * r * r + 1;
	const s2 = (n * estimate * estimate) / (se * se);
	return Math.min(1, Math.sqrt(v) * Math.exp((-r * r * s2) / (2 * v)));
}

/**
 * Anytime p-value of the claim "above 0" for an estimate at `distance` above its line: the alpha at which the bound
 * of equation 134 touches the line at this ρ, √v/(2(exp(x) − 1)) with x as in equation 155; 1 on the null's side.
 */
export function pValueOneSided(distance: number, se: number, n: number, r: number): number {
	return distance > 0 ? Math.min(1, Math.exp(0 - logEOneSided(distance, se, n, r))) : 1;
}

/** −ln of that p, not cut off at 1, for a distance above 0. */
export function logEOneSided(distance: number, se: number, n: number, r: number): number {
	const v = n * r * r + 1;
	const x = (r * r * n * distance * distance) / (se * se) / (2 * v);
	// From 40 on the 1 is beyond the last digit, and later exp overflows.
	return (x > 40 ? x : Math.log(Math.expm1(x))) + Math.LN2 - Math.log(v) / 2;
}

/** Unbiased variance of the units' values; NaN below 2 units. */
export function variance({ n, m2 }: Moments): number {
	return n < 2 ? Number.NaN : m2 / (n - 1);
}

/** Estimate and one-sided bounds, each at alpha, of challenger − slope·baseline. */
export interface ContrastInterval {
	readonly estimate: number;
	readonly lower: number;
	readonly upper: number;
}

/**
 * The contrast μ_t − k·μ_c: SE² = V_t/n_t + k²·V_c/n_c, N = n_t + n_c, s² = N·SE² (statistics.md 2.1). A relative
 * claim (1 + r) is tested as a contrast with k = 1 + r, so the noise of the baseline is in the width. Means are compared
 * by asympEstimate.ts, which also knows covariates and ratios: this is the plain formula, against which that is tested.
 */
export function contrastInterval(
	challenger: Moments,
	baseline: Moments,
	slope: number,
	alpha: number,
	tunedAt = ASYMPCS_TUNED_AT,
): ContrastInterval {
	const n = challenger.n + baseline.n;
	const se2 = variance(challenger) / challenger.n + (slope * slope * variance(baseline)) / baseline.n;
	const estimate = challenger.mean - slope * baseline.mean;
	const width = halfWidthOneSided(Math.sqrt(n * se2), n, alpha, rho(2 * alpha, tunedAt));
	return { estimate, lower: estimate - width, upper: estimate + width };
}

/**
 * One-sided bounds of the ratio μ_t ÷ μ_c for a positive baseline: the k whose contrast is not excluded (Fieller's
 * construction). With g the half width for s = 1, k is excluded where (m_t − k·m_c)² > g²·N·(V_t/n_t + k²·V_c/n_c), a
 * quadratic inequality in k. null when the baseline's mean is not clearly above 0. Beside contrastInterval(), for the same
 * reason.
 */
export function ratioInterval(
	challenger: Moments,
	baseline: Moments,
	alpha: number,
): { readonly lower: number; readonly upper: number } | null {
	// The baseline alone: a contrast with weight 0 on the challenger, at the same level.
	const r = rho(2 * alpha, ASYMPCS_TUNED_AT);
	if (!(baseline.mean - halfWidthOneSided(Math.sqrt(variance(baseline)), baseline.n, alpha, r) > 0)) return null;
	const n = challenger.n + baseline.n;
	const g2 = n * halfWidthOneSided(1, n, alpha, r) ** 2;
	const square = baseline.mean ** 2 - (g2 * variance(baseline)) / baseline.n;
	const half = challenger.mean * baseline.mean;
	const rest = challenger.mean ** 2 - (g2 * variance(challenger)) / challenger.n;
	const discriminant = half * half - square * rest;
	if (!(square > 0 && discriminant >= 0)) return null;
	// The root without cancellation, and the other by Viète.
	const q = half >= 0 ? half + Math.sqrt(discriminant) : half - Math.sqrt(discriminant);
	const [x, y] = q === 0 ? [0, 0] : [q / square, rest / q];
	return { lower: Math.min(x, y), upper: Math.max(x, y) };
}
