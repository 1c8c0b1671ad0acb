/**
 * One claim as a plan sees it: what is asked, by the words of the tests themselves, and what is assumed of the arms.
 * All numbers are in the metric's own unit; improvements are on the claim's scale, positive is better.
 */

import { priorOf } from "../statistics/compareShares.js";
import { eraShare } from "../statistics/frozenReference.js";
import { isRelative, lineOf, methodOf, type Question, signOf } from "../statistics/question.js";
import { type Contrast, challengerOn, mostLikelyOn, segment } from "../statistics/sequential/bernoulliArms.js";
import { type FixedHorizonDesign, fixedUnits } from "./fixedHorizon.js";
import type { ArmWeights, SequentialClaim, SequentialMethod } from "./sequential.js";

export interface PlanMetric extends Pick<Question, "metric" | "role" | "effect" | "slowLine"> {
	readonly name: string;
	/** Mean over the baseline's units; of a quantile the share of its requests above its own quantile. */
	readonly baselineMean: number;
	/** Of one unit's value; null = not known, which only shares and values in a range can do without. */
	readonly variance: number | null;
	/** How far the farthest unit's value lies from the mean, where no range bounds it; absent: not known, as if tails were light. */
	readonly farthest?: number;
	/** The improvement that is believed to be there: above the line for a goal, usually 0 for a guardrail. */
	readonly believed: number;
}

/** What values can be; null = any number. */
export function boundsOf({ metric }: Pick<PlanMetric, "metric">): { readonly lo: number; readonly hi: number } | null {
	const { type, source, range } = metric.spec;
	return type === "quantile" || type === "rate" || source === "errors" ? { lo: 0, hi: 1 } : range;
}

/** The largest variance that values between the bounds can have. */
function widest({ lo, hi }: { readonly lo: number; readonly hi: number }, mean: number): number {
	return Math.max(0, (mean - lo) * (hi - mean));
}

/** The challenger's mean, if it is so much better. */
export function treatedMean(metric: PlanMetric, improvement: number): number {
	const scale = isRelative(metric) ? Math.abs(metric.baselineMean) : 1;
	return metric.baselineMean + signOf(metric.metric) * improvement * scale;
}

/** Whether the challenger's mean can be so much better at all. */
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
		// A quantile has the level of its first era, for most have no second.
		alpha: metric.metric.spec.quantile === null ? alpha : alpha * eraShare(1),
		shares,
	};
}

/** As methodOf() says, which does not know that evidence of whole arms holds the sums that betting needs. */
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

/** How far above its line the truth lies, in the metric's unit. */
export function distanceOf(metric: PlanMetric, improvement: number): number {
	return (improvement - planLine(metric)) * (isRelative(metric) ? Math.abs(metric.baselineMean) : 1);
}

/** The line between the arms' shares, of the metric as it is. */
export function contrastOf(metric: PlanMetric): Contrast {
	const line = signOf(metric.metric) * planLine(metric);
	return isRelative(metric) ? { slope: Math.max(0, 1 + line), offset: 0 } : { slope: 1, offset: line };
}

/**
 * Standard error where the line holds ÷ that of the truth. A planned look at a share divides by the former (score test), so
 * that its statistic has the latter's inverse as standard deviation; 1 for all else.
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

/** Units of both arms with which one look finds what is believed with the chance `power`, rounded up; null: it never does. */
export function oneLookUnits(metric: PlanMetric, alpha: number, shares: ArmWeights, power: number): number | null {
	const { believed } = metric;
	if (!isPossible(metric, believed)) return null;
	const units = fixedUnits(fixedDesign(metric, alpha, shares, believed), distanceOf(metric, believed), power);
	// Without variance the formula says 0, which no one believes of a sample.
	return Number.isFinite(units) && units > 0 ? Math.ceil(units) : null;
}
