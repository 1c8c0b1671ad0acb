/**
 * Post-stratification: units are sorted into strata by something older than the experiment (country, client), and
 * the arms are compared as if each stratum had the same share in both. Chance imbalance between arms goes away.
 *
 * - Shares known beforehand (from the population that is meant): stratifiedMeans, and any level of it.
 * - Shares estimated from the experiment's own units, both arms together: the same, then withEstimatedShares adds the
 *   variance of the shares. Without it the result is valid for these units only.
 *
 * Source: Miratrix, Sekhon & Yu, "Adjusting treatment effect estimates by post-stratification in randomized
 * experiments", JRSS-B 75 (2013), section 2; the term of the shares is the multinomial's.
 */

import { gradientOf, satterthwaite } from "./contrast.js";
import { type Estimate, isNoEstimate, type NoEstimate } from "./estimate.js";
import type { MeanVector } from "./meanVector.js";

/** One stratum of one arm. */
export interface Stratum {
	/** Its share of the population, the same for all arms; all shares add up to 1. */
	readonly share: number;
	/** The arm's means in it, or why there are none. */
	readonly vector: MeanVector | NoEstimate;
}

/** Means of an arm over strata: Σ share·mean, with variance Σ share²·variance. */
export function stratifiedMeans(strata: readonly Stratum[]): MeanVector | NoEstimate {
	const problem = problemOfShares(strata.map(({ share }) => share));
	if (problem !== "") return { reason: problem };
	const vectors: { readonly share: number; readonly vector: MeanVector }[] = [];
	for (const { share, vector } of strata) {
		if (isNoEstimate(vector)) return { reason: `a stratum cannot be used (${vector.reason}): merge it with another` };
		vectors.push({ share, vector });
	}
	const sum = (of: (vector: MeanVector) => readonly number[], power: 1 | 2): number[] =>
		(vectors[0] === undefined ? [] : of(vectors[0].vector)).map((_, i) =>
			vectors.reduce((total, { share, vector }) => total + share ** power * (of(vector)[i] ?? Number.NaN), 0),
		);
	return {
		n: vectors.reduce((n, { vector }) => n + vector.n, 0),
		means: sum((vector) => vector.means, 1),
		covariance: sum((vector) => vector.covariance, 2),
		// By the first variable, the outcome: the others move with it.
		degreesOfFreedom: satterthwaite(
			vectors.map(({ share, vector }) => ({
				variance: share ** 2 * (vector.covariance[0] ?? 0) || Number.MIN_VALUE,
				degreesOfFreedom: vector.degreesOfFreedom,
			})),
		),
	};
}

/** The strata's shares of all units, from the number of units of each, all arms together. */
export function sharesOf(units: readonly number[]): number[] {
	const total = units.reduce((sum, n) => sum + n, 0);
	return units.map((n) => n / total);
}

/**
 * Adds the variance of shares that were estimated from `units` units: (1/N)·Σ share·(h − h̄)², h a stratum's own part
 * in the estimate. `estimate` is a contrast of two levels of stratifiedMeans with these shares.
 */
export function withEstimatedShares(
	estimate: Estimate,
	strata: readonly { readonly share: number; readonly challenger: MeanVector; readonly baseline: MeanVector }[],
	units: number,
): Estimate | NoEstimate {
	const problem = problemOfShares(strata.map(({ share }) => share));
	if (problem !== "") return { reason: problem };
	if (!(units > 0)) return { reason: "there are no units" };
	const gradient = gradientOf(estimate);
	const parts = strata.map(
		({ challenger, baseline }) => dot(gradient.challenger, challenger.means) + dot(gradient.baseline, baseline.means),
	);
	const centre = strata.reduce((sum, { share }, s) => sum + share * (parts[s] ?? 0), 0);
	const spread = strata.reduce((sum, { share }, s) => sum + share * ((parts[s] ?? 0) - centre) ** 2, 0);
	return { ...estimate, variance: estimate.variance + spread / units };
}

function dot(a: readonly number[], b: readonly number[]): number {
	return a.reduce((sum, value, i) => sum + value * (b[i] ?? Number.NaN), 0);
}

/** Rounding that shares may miss 1 by. */
const SHARES_SLACK = 1e-9;

function problemOfShares(shares: readonly number[]): string {
	if (shares.length === 0) return "there are no strata";
	if (!shares.every((share) => share > 0 && share <= 1)) return "a stratum's share is not between 0 and 1";
	const total = shares.reduce((sum, share) => sum + share, 0);
	return Math.abs(total - 1) > SHARES_SLACK ? `the strata's shares add up to ${total}, not to 1` : "";
}
