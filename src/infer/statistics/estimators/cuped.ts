/**
 * CUPED: reduces the variance with the units' data from before the experiment.
 * Source: Deng, Xu, Kohavi & Walker, "Improving the sensitivity of online controlled experiments by utilizing
 * pre-experiment data", WSDM 2013, section 3; for ratios the same on the linearised ratio (4 variables).
 *
 * One θ for all arms, so that adjusted levels do not differ because of the adjustment. It is
 * pooled *within* arms, Σ M2_YX ÷ Σ M2_XX over arms, so that an effect times a chance imbalance does not leak into it.
 * The covariate must be older than the first exposure; the assignment cannot have moved it.
 */
import { type CoMoments, packedIndex } from "../statistics/coMoments.js";
import type { Level, NoEstimate } from "./estimate.js";
import { ratioGradient } from "./level.js";
import { covarianceAlong, levelOf, type MeanVector } from "./meanVector.js";

/** How all arms are adjusted: value − theta·(covariate − centre). */
export interface Adjustment {
	readonly theta: number;
	/** Level of the covariate over all arms. It cancels in every comparison and keeps levels readable. */
	readonly centre: number;
}

/** The same for arms with valid sample moments, as in a MeanVector. */
export function pooledMeanAdjustment(arms: readonly CoMoments[]): Adjustment {
	const [yx, xx] = [sumOf(arms, 1, 0), sumOf(arms, 1, 1)];
	return { theta: xx > 0 ? yx / xx : 0, centre: meanOver(arms, 1) };
}

/** The same for arms with valid sample moments. */
export function pooledRatioAdjustment(arms: readonly CoMoments[]): Adjustment | NoEstimate {
	let [products, squares] = [0, 0];
	for (const arm of arms) {
		if (arm.n === 0) continue;
		const now = ratioGradient(arm.means[0] ?? Number.NaN, arm.means[1] ?? Number.NaN);
		const before = ratioGradient(arm.means[2] ?? Number.NaN, arm.means[3] ?? Number.NaN);
		if (now === null || before === null) return { reason: "the denominator of a ratio is 0" };
		// M2 in the place of a covariance: sums over units, which pool by adding.
		const sums: MeanVector = { n: arm.n, means: arm.means, covariance: arm.m2, degreesOfFreedom: arm.n - 1 };
		products += covarianceAlong(sums, [...now, 0, 0], [0, 0, ...before]);
		squares += covarianceAlong(sums, [0, 0, ...before], [0, 0, ...before]);
	}
	return { theta: squares > 0 ? products / squares : 0, centre: meanOver(arms, 2) / meanOver(arms, 3) };
}

/** Adjusted mean of variables (Y, X): Var = (V_Y − 2θC + θ²V_X)/n, which is V_Y(1 − corr²)/n at the best θ. */
export function cupedLevel(vector: MeanVector, { theta, centre }: Adjustment): Level | NoEstimate {
	const [y, x] = [vector.means[0] ?? Number.NaN, vector.means[1] ?? Number.NaN];
	return levelOf(vector, y - theta * (x - centre), [1, -theta], y, RAW_OF_TWO);
}

/** The value alone, of value and covariate. */
const RAW_OF_TWO: readonly number[] = [1, 0];

/** Adjusted ratio of variables (S, N, S before, N before): gradient (1/N, −S/N², −θ/N₀, θS₀/N₀²). */
export function cupedRatioLevel(vector: MeanVector, { theta, centre }: Adjustment): Level | NoEstimate {
	const [s, n, s0, n0] = [0, 1, 2, 3].map((i) => vector.means[i] ?? Number.NaN) as [number, number, number, number];
	const now = ratioGradient(s, n);
	const before = ratioGradient(s0, n0);
	if (now === null || before === null) return { reason: "the denominator of a ratio is 0" };
	const gradient = [...now, -theta * before[0], -theta * before[1]];
	return levelOf(vector, s / n - theta * (s0 / n0 - centre), gradient, s / n, [...now, 0, 0]);
}

/** Mean of variable i over all arms' units. */
function meanOver(arms: readonly CoMoments[], i: number): number {
	let [n, mean] = [0, 0];
	for (const arm of arms) {
		if (arm.n === 0) continue;
		n += arm.n;
		mean += ((arm.means[i] ?? Number.NaN) - mean) * (arm.n / n);
	}
	return mean;
}

function sumOf(arms: readonly CoMoments[], i: number, j: number): number {
	let sum = 0;
	for (const arm of arms) sum += arm.m2[packedIndex(i, j)] ?? Number.NaN;
	return sum;
}
