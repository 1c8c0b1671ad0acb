/**
 * Asymptotic confidence sequences for means (AsympCS), one- and two-sided, from moments alone.
 * Source: Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas, "Time-uniform central limit theory and asymptotic
 * confidence sequences", arXiv 2103.06476v7, equations 9, 134 and 155. Asymptotic: the error holds from a minimum
 * sample on, not at every n, and never for rare events; rates and errors go to the Bernoulli mixture instead.
 */

import { negativeLambertW } from "../distributions/lambertW.js";

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

/** −ln of that p, not cut off at 1, for a distance above 0. */
export function logEOneSided(distance: number, se: number, n: number, r: number): number {
	const v = n * r * r + 1;
	const x = (r * r * n * distance * distance) / (se * se) / (2 * v);
	// From 40 on the 1 is beyond the last digit, and later exp overflows.
	return (x > 40 ? x : Math.log(Math.expm1(x))) + Math.LN2 - Math.log(v) / 2;
}
