/**
 * The means of an arm and the covariance of these means: all that the delta method needs, whether the arm is one
 * sample or several strata put together.
 */
import { type CoMoments, packedIndex, problemOfCoMoments } from "../statistics/coMoments.js";
import { type Moments, problemOf } from "../statistics/moments.js";
import type { Level, NoEstimate } from "./estimate.js";

export interface MeanVector {
	/** Units. */
	readonly n: number;
	readonly means: readonly number[];
	/** Covariance of the means (not of one unit's values), packed as in CoMoments. */
	readonly covariance: readonly number[];
	readonly degreesOfFreedom: number;
}

/** The means of k variables of one sample. */
export function meanVectorOf(k: number, moments: CoMoments): MeanVector | NoEstimate {
	const problem = problemOfCoMoments(k, moments) || shortOfUnits(moments.n);
	if (problem !== "") return { reason: problem };
	const { n, means, m2 } = moments;
	const covariance: number[] = [];
	for (const product of m2) covariance.push(product / (n - 1) / n);
	return { n, means, covariance, degreesOfFreedom: n - 1 };
}

/** The mean of one variable. */
export function meanVectorOfMoments(moments: Moments): MeanVector | NoEstimate {
	const problem = problemOf(moments) || shortOfUnits(moments.n);
	if (problem !== "") return { reason: problem };
	const { n, mean, m2 } = moments;
	return { n, means: [mean], covariance: [m2 / (n - 1) / n], degreesOfFreedom: n - 1 };
}

function shortOfUnits(n: number): string {
	if (n === 0) return "there are no units";
	return n === 1 ? "one unit has no variance" : "";
}

/** Σ g_i h_j cov_ij: the covariance of two linear functions of the means. */
export function covarianceAlong(vector: MeanVector, g: readonly number[], h: readonly number[]): number {
	const { covariance } = vector;
	const k = vector.means.length;
	let sum = 0;
	for (let i = 0; i < k; i++) {
		const slope = g[i] ?? 0;
		for (let j = 0; j < k; j++) sum += slope * (h[j] ?? 0) * (covariance[packedIndex(i, j)] ?? Number.NaN);
	}
	return sum;
}

/** A level as a smooth function of the means, by the delta method. */
export function levelOf(
	vector: MeanVector,
	value: number,
	gradient: readonly number[],
	rawValue: number = value,
	rawGradient: readonly number[] = gradient,
): Level | NoEstimate {
	// Rounding may leave a hair below 0 where the variance is truly 0.
	const variance = Math.max(0, covarianceAlong(vector, gradient, gradient));
	const same = rawGradient === gradient;
	const rawVariance = same ? variance : Math.max(0, covarianceAlong(vector, rawGradient, rawGradient));
	const covariance = same ? variance : covarianceAlong(vector, gradient, rawGradient);
	// A sum is finite only where all its terms are.
	if (!Number.isFinite(value + variance + rawValue + rawVariance + covariance))
		return { reason: "values too large or too small for double precision" };
	return {
		value,
		variance,
		n: vector.n,
		degreesOfFreedom: vector.degreesOfFreedom,
		raw: { value: rawValue, variance: rawVariance, covariance },
		gradient,
		rawGradient,
	};
}
