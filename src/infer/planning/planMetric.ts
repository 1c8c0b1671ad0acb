/**
 * One claim of a plan: the question of the test, and the assumptions about the arms. Numbers are in the metric's own unit;
 * improvements are on the claim's scale, positive is better.
 */

import { priorOf } from "../statistics/compareShares.js";
import { eraShare } from "../statistics/frozenReference.js";
import { isRelative, lineOf, methodOf, type Question, signOf } from "../statistics/question.js";
import { type Contrast, challengerOn, mostLikelyOn, segment } from "../statistics/sequential/bernoulliArms.js";
import { type FixedHorizonDesign, fixedUnits } from "./fixedHorizon.js";
import type { ArmWeights, SequentialClaim, SequentialMethod } from "./sequential.js";

export interface PlanMetric extends Pick<Question, "metric" | "role" | "effect" | "slowLine"> {
	readonly name: string;
	/** Mean over the baseline's units; for a quantile the share of its requests above its own quantile. */
	readonly baselineMean: number;
	/** Variance of one unit's value; null = unknown, allowed only for shares and values in a range. */
	readonly variance: number | null;
	/** Distance of the farthest unit's value from the mean without a range; absent = unknown, light tails are assumed. */
	readonly farthest?: number;
	/** The assumed improvement: above the line for a goal, usually 0 for a guardrail. */
	readonly believed: number;
}

/** The range of values; null = any number. */
export function boundsOf({ metric }: Pick<PlanMetric, "metric">): { readonly lo: number; readonly hi: number } | null {
	const { type, source, range } = metric.spec;
	return type === "quantile" || type === "rate" || source === "errors" ? { lo: 0, hi: 1 } : range;
}

/** The largest variance that values between the bounds can have. */
function widest({ lo, hi }: { readonly lo: number; readonly hi: number }, mean: number): number {
	return Math.max(0, (mean - lo) * (hi - mean));
}

/** The challenger's mean for this improvement. */
export function treatedMean(metric: PlanMetric, improvement: number): number {
	const scale = isRelative(metric) ? Math.abs(metric.baselineMean) : 1;
	return metric.baselineMean + signOf(metric.metric) * improvement * scale;
}

/** Whether the improvement is possible. */
export function isPossible(metric: PlanMetric, improvement: number): boolean {
	const bounds = boundsOf(metric);
	const mean = treatedMean(metric, improvement);
	return bounds === null || (mean >= bounds.lo && mean <= bounds.hi);
}

export const planLine = (metric: PlanMetric): number => lineOf(metric, metric.metric);

export function sequentialClaim(metric: PlanMetric, alpha: number, shares: ArmWeights): SequentialClaim {
	return {
		method: sequentialMethod(metric),
		direction: signOf(metric.metric) === 1 ? "up" : "down",
		baselineMean: metric.baselineMean,
		relative: isRelative(metric),
		line: planLine(metric),
		// A quantile uses the level of its first era: most have no second one.
		alpha: metric.metric.spec.quantile === null ? alpha : alpha * eraShare(1),
		shares,
	};
}

/** As methodOf(), but for evidence of whole arms, which has the sums for betting. */
function sequentialMethod(metric: PlanMetric): SequentialMethod {
	const { type, range } = metric.metric.spec;
	const { farthest } = metric;
	if (methodOf(metric) === "asympcs") {
		const variance = metric.variance ?? Number.NaN;
		return farthest === undefined ? { test: "asympcs", variance } : { test: "asympcs", variance, farthest };
	}
	if (type === "mean" && range !== null) return { test: "betting", variance: metric.variance, range };
	const { quantile } = metric.metric.spec;
	const prior = priorOf(metric);
	return quantile === null ? { test: "bernoulli-mixture", prior } : { test: "bernoulli-mixture", prior, quantile };
}

/**
 * The classical test of the same contrast, one-sided, for a true improvement: of a share its variance is that of its
 * mean; the baseline's noise counts (1 + line)² on a relative claim. A share's test is the score test, a mean's Welch's.
 */
export function fixedDesign(
	metric: PlanMetric,
	alpha: number,
	shares: ArmWeights,
	improvement: number,
): FixedHorizonDesign {
	const bounds = boundsOf(metric);
	const isShare = metric.metric.spec.type !== "mean" && bounds !== null;
	const variance = (mean: number): number =>
		bounds !== null && (isShare || metric.variance === null) ? widest(bounds, mean) : (metric.variance ?? Number.NaN);
	const slope = isRelative(metric) ? 1 + signOf(metric.metric) * planLine(metric) : 1;
	return {
		alpha,
		sides: 1,
		varianceT: variance(treatedMean(metric, improvement)),
		varianceC: slope * slope * variance(metric.baselineMean),
		shareT: shares.challenger,
		shareC: shares.baseline,
		errorRatio: nullErrorRatio(metric, shares, improvement),
	};
}

/** Distance of the assumed effect from the line, in the metric's unit. */
export function distanceOf(metric: PlanMetric, improvement: number): number {
	return (improvement - planLine(metric)) * (isRelative(metric) ? Math.abs(metric.baselineMean) : 1);
}

/** The line between the arms' shares, on the metric's raw scale. */
export function contrastOf(metric: PlanMetric): Contrast {
	const line = signOf(metric.metric) * planLine(metric);
	return isRelative(metric) ? { slope: Math.max(0, 1 + line), offset: 0 } : { slope: 1, offset: line };
}

/**
 * Standard error under the null ÷ the true one. A planned look at a share divides by the former (score test), so the standard
 * deviation of its statistic is the inverse of this ratio; 1 for all other metrics.
 */
export function nullErrorRatio(metric: PlanMetric, shares: ArmWeights, improvement: number): number {
	if (metric.metric.spec.type !== "rate") return 1;
	const line = contrastOf(metric);
	const ends = segment(line);
	const [pT, pC] = [treatedMean(metric, improvement), metric.baselineMean];
	if (ends === null || !(pT >= 0 && pT <= 1)) return 1;
	const [t, c] = [shares.challenger, shares.baseline];
	const q = mostLikelyOn({ n: t, sum: t * pT }, { n: c, sum: c * pC }, line, ends);
	const p = challengerOn(line, q);
	const variance = (one: number, other: number): number =>
		(one * (1 - one)) / t + (line.slope * line.slope * other * (1 - other)) / c;
	const ratio = Math.sqrt(variance(p, q) / variance(pT, pC));
	return Number.isFinite(ratio) && ratio > 0 ? ratio : 1;
}

/** Units of both arms for one look to detect the assumed effect with probability `power`, rounded up; null = never. */
export function oneLookUnits(metric: PlanMetric, alpha: number, shares: ArmWeights, power: number): number | null {
	const { believed } = metric;
	if (!isPossible(metric, believed)) return null;
	const units = fixedUnits(fixedDesign(metric, alpha, shares, believed), distanceOf(metric, believed), power);
	// Without variance the formula gives 0, which is useless.
	return Number.isFinite(units) && units > 0 ? Math.ceil(units) : null;
}
