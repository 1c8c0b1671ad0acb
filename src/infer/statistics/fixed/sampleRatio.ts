/**
 * Pearson's chi-square test of the arms' unit counts against their weights, for a report at the end. During a run
 * sequential/srm.ts tests it.
 */
import { chiSquareSf, logChiSquareSf } from "../distributions/chiSquare.js";
import type { NoEstimate } from "../estimators/estimate.js";

export interface SampleRatioTest {
	readonly statistic: number;
	/** Arms with a weight − 1: an arm of weight 0 takes no part. */
	readonly degreesOfFreedom: number;
	readonly pValue: number;
	readonly logPValue: number;
}

export function sampleRatioTest(counts: readonly number[], weights: readonly number[]): SampleRatioTest | NoEstimate {
	if (counts.length !== weights.length) return { reason: `${counts.length} counts, but ${weights.length} weights` };
	if (!counts.every((count) => Number.isSafeInteger(count) && count >= 0)) return { reason: "a count is not a count" };
	if (!weights.every((weight) => weight >= 0 && weight < Number.POSITIVE_INFINITY))
		return { reason: "a weight is not a number from 0 on" };
	if (counts.some((count, i) => count > 0 && weights[i] === 0))
		return { reason: "there are units in an arm of weight 0: that is no chance" };
	const arms = weights.flatMap((weight, i) => (weight > 0 ? [{ weight, count: counts[i] ?? 0 }] : []));
	if (arms.length < 2) return { reason: "there are not two arms with a weight" };
	const units = arms.reduce((sum, { count }) => sum + count, 0);
	if (units === 0) return { reason: "there are no units" };
	const total = arms.reduce((sum, { weight }) => sum + weight, 0);
	const statistic = arms.reduce((sum, { weight, count }) => {
		const expected = (units * weight) / total;
		return sum + (count - expected) ** 2 / expected;
	}, 0);
	const degreesOfFreedom = arms.length - 1;
	return {
		statistic,
		degreesOfFreedom,
		pValue: chiSquareSf(statistic, degreesOfFreedom),
		logPValue: logChiSquareSf(statistic, degreesOfFreedom),
	};
}
