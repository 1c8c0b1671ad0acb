/**
 * Asymptotic confidence sequences for means (AsympCS), one- and two-sided, from moments alone.
 * Source: Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas, "Time-uniform central limit theory and asymptotic
 * confidence sequences", arXiv 2103.06476v7, equations 9, 134 and 155. Asymptotic: the error holds from a minimum
 * sample on, not at every n, and never for rare events; rates and errors go to the Bernoulli mixture instead.
 */

import { negativeLambertW } from "../distributions/lambertW.js";
import type { Moments } from "../evidence.js";

/**
 * No claim below this many units in either arm. Measured by test/analysis/sequential/asympCs.test.ts: with first looks from
 * here on, skewed outcomes (exponential, lognormal σ 1) cross a one-sided 5 % line in A/A runs no more often than
 * 5 %; heavier tails need winsorising first, which is the declaring person's choice.
 */
export const ASYMPCS_MIN_UNITS = 500;

/** Total units at which the sequence is tightest; the cost of being elsewhere by a factor of 10 is about a quarter. */
export const ASYMPCS_TUNED_AT = 5_000;

/**
 * ρ that makes the boundary tightest at N* units, exact: N*ρ² = −W₋₁(−α²/e) − 1 (v7, appendix on tuning; equation
 * 161 is its approximation). For a one-sided sequence pass 2α.
 */
export function rho(alpha: number, tunedAt: number): number {
	return Math.sqrt((negativeLambertW(1 - 2 * Math.log(alpha)) - 1) / tunedAt);
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
 * claim (1 + r) is tested as a contrast with k = 1 + r, so the noise of the baseline is in the width.
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
 * One-sided bounds of the ratio μ_t ÷ μ_c for a positive baseline (Fieller's construction: the k whose contrast is
 * not excluded), by bisection. null when the baseline's mean is not clearly above 0.
 */
export function ratioInterval(
	challenger: Moments,
	baseline: Moments,
	alpha: number,
): { readonly lower: number; readonly upper: number } | null {
	// The baseline alone: a contrast with weight 0 on the challenger, at the same level.
	const width = halfWidthOneSided(Math.sqrt(variance(baseline)), baseline.n, alpha, rho(2 * alpha, ASYMPCS_TUNED_AT));
	if (!(baseline.mean - width > 0)) return null;
	const ratio = challenger.mean / baseline.mean;
	const edge = (side: 1 | -1): number => {
		const excluded = (k: number): boolean => {
			const interval = contrastInterval(challenger, baseline, k, alpha);
			return side === 1 ? interval.upper < 0 : interval.lower > 0;
		};
		let reach = Math.max(1e-6, Math.abs(ratio) * 1e-3);
		while (!excluded(ratio + side * reach)) {
			reach *= 2;
			if (reach > 1e9) return side * 1e9;
		}
		let inside = 0;
		for (let step = 0; step < 60; step++) {
			const middle = (inside + reach) / 2;
			if (excluded(ratio + side * middle)) reach = middle;
			else inside = middle;
		}
		return ratio + side * reach;
	};
	return { lower: edge(-1), upper: edge(1) };
}
