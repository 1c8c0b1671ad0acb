/**
 * Levels of one arm: means, rates and ratios. Statistics in, Level or reason out.
 */
import type { Moments } from "../statistics/moments.js";
import { isNoEstimate, type Level, type NoEstimate } from "./estimate.js";
import { levelOf, type MeanVector, meanVectorOfMoments } from "./meanVector.js";

/** Mean of one value per unit: variance s²/n with the unbiased s². */
export function meanLevel(vector: MeanVector): Level | NoEstimate {
	return levelOf(vector, vector.means[0] ?? Number.NaN, unit(vector, [1]));
}

/**
 * Share of units with a 1 (values are 0 or 1): variance p(1 − p)/n, the normal law. At a share of 0 or 1 this
 * variance is 0 and says nothing; the score test of fixed/proportions.ts and the exact mixtures do.
 */
export function proportionLevel(moments: Moments): Level | NoEstimate {
	const vector = meanVectorOfMoments(moments);
	if (isNoEstimate(vector)) return vector;
	const { n, mean: p } = moments;
	if (p < 0 || p > 1) return { reason: `a share of ${p} is not between 0 and 1` };
	// For values of 0 and 1 m2 is n·p(1 − p); a share from per-unit shares has less and belongs to meanLevel.
	if (Math.abs(moments.m2 - n * p * (1 - p)) > 1e-6 * n) return { reason: "values other than 0 and 1 in a proportion" };
	return levelOf(
		{ n, means: [p], covariance: [(p * (1 - p)) / n], degreesOfFreedom: Number.POSITIVE_INFINITY },
		p,
		[1],
	);
}

/**
 * Ratio of sums ΣS ÷ ΣN over units, variables (S, N): revenue per order, errors per request, any mean over the
 * several requests of a unit. Var = (V_S − 2R·C_SN + R²·V_N)/N̄² (delta method; Deng, Knoblich & Lu 2018, section 2).
 */
export function ratioLevel(vector: MeanVector): Level | NoEstimate {
	const [numerator, denominator] = [vector.means[0] ?? Number.NaN, vector.means[1] ?? Number.NaN];
	const gradient = ratioGradient(numerator, denominator);
	if (gradient === null) return { reason: "the denominator of the ratio is 0" };
	return levelOf(vector, numerator / denominator, unit(vector, gradient));
}

/** Gradient of a/b in (a, b), or null where there is none. */
export function ratioGradient(numerator: number, denominator: number): readonly [number, number] | null {
	if (denominator === 0) return null;
	return [1 / denominator, -numerator / denominator ** 2];
}

/** The gradient filled up with zeros for the variables that play no part. */
function unit(vector: MeanVector, gradient: readonly number[]): readonly number[] {
	return vector.means.map((_, i) => gradient[i] ?? 0);
}
