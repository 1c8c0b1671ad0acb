/**
 * Asymptotic confidence sequences for any estimate with a variance: a difference or a lift, of means, ratios
 * or quantiles, with covariate adjustment or without. In the paper's terms s² = N·variance, so the estimator's own
 * variance replaces s²/N (arXiv 2103.06476v7, section 2.5: it needs only a strong approximation of
 * the estimator by a mean of independent terms, which the delta method and regression adjustment give).
 *
 * Bounds and p-values hold at all looks together, asymptotically: from ASYMPCS_MIN_UNITS in the smaller arm on, which
 * `unitsProblem` enforces, and not for rare events (bernoulliMixture.ts).
 */
import type { Estimate, NoEstimate } from "../estimators/estimate.js";
import { ASYMPCS_MIN_UNITS, ASYMPCS_TUNED_AT, halfWidth, logEOneSided, rho } from "./asympCs.js";
import type { Bounds } from "./bernoulliBounds.js";

/** The needed part of an estimate: its value, the variance of the value, the units of both arms. */
export type Estimated = Pick<Estimate, "value" | "variance" | "n">;

/** Level of the claim, and the total of units at which the sequence is tightest; never chosen from data. */
export interface AsympDesign {
	readonly alpha: number;
	readonly tunedAt?: number;
}

/** A two-sided confidence sequence at level alpha (equation 9). */
export function asympInterval(estimate: Estimated, { alpha, tunedAt }: AsympDesign): Bounds | NoEstimate {
	const problem = problemOf(estimate, alpha);
	if (problem !== "") return { reason: problem };
	const { value, variance, n } = estimate;
	const width = halfWidth(Math.sqrt(n * variance), n, alpha, rho(alpha, tunedAt ?? ASYMPCS_TUNED_AT));
	return { lower: value - width, upper: value + width };
}

/**
 * ln of the e-value for "the estimated thing lies above 0", √v·(exp(x) − 1)⁻¹/2 turned over: no more than the one-sided
 * mixture 2/√v·exp(x)·Φ(√2x) itself, whose process it bounds from below, and so an e-value (asymptotically) where 1/p cut off at
 * 1 is none. −Infinity on the other side. It reaches −ln alpha exactly where the bound of asympBounds passes 0.
 */
export function asympLogE(above: Estimated, alpha: number, tunedAt = ASYMPCS_TUNED_AT): number {
	const { value, variance, n } = above;
	if (!(value > 0)) return Number.NEGATIVE_INFINITY;
	return logEOneSided(value, Math.sqrt(variance), n, rho(2 * alpha, tunedAt));
}

/** Why two arms are too small for an asymptotic claim; empty = they are not. */
export function unitsProblem(challengerUnits: number, baselineUnits: number, least = ASYMPCS_MIN_UNITS): string {
	const fewer = Math.min(challengerUnits, baselineUnits);
	// Written so that NaN is a problem too.
	return fewer >= least ? "" : `a mean needs ${least} units per arm, there are ${fewer}`;
}

function problemOf({ value, variance, n }: Estimated, level: number): string {
	if (!(level > 0 && level < 1)) return "alpha must lie between 0 and 1 (one-sided: below a half)";
	if (!Number.isFinite(value)) return `the estimate is ${value}`;
	if (!(variance > 0 && variance < Number.POSITIVE_INFINITY))
		return variance === 0 ? "zero variance: the spread is not known" : `the variance is ${variance}`;
	if (!(n >= 2 && n < Number.POSITIVE_INFINITY)) return `the count of units is ${n}`;
	return "";
}
