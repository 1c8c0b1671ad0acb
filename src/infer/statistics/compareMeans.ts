/**
 * Comparisons by asymptotic confidence sequences: means of unbounded values, with a covariate by CUPED, and ratios of sums by
 * the delta method. Needs ASYMPCS_MIN_UNITS units in each arm and no unit that outweighs the others (sequential/tails.ts); a
 * ratio also needs enough denominators (denominators.ts).
 *
 * A relative claim is Fieller's: the lifts r for which challenger − (1 + r)·baseline is not excluded, so that the
 * baseline's own noise is in the width.
 */

import { difference, fiellerSet, liftContrast, relativeLift } from "./estimators/contrast.js";
import { cupedLevel, cupedRatioLevel, pooledMeanAdjustment, pooledRatioAdjustment } from "./estimators/cuped.js";
import { DENOMINATOR_Z_MIN, denominatorProblem, meanZ } from "./estimators/denominators.js";
import { type Estimate, isNoEstimate, type Level, type NoEstimate } from "./estimators/estimate.js";
import { meanLevel, ratioLevel } from "./estimators/level.js";
import { meanVectorOf, meanVectorOfMoments } from "./estimators/meanVector.js";
import type { MetricEvidence } from "./evidence.js";
import {
	isRatio,
	isRelative,
	lineOf,
	type Measured,
	type Question,
	signOf,
	tidyLogE,
	turned,
	type Unmeasured,
} from "./question.js";
import { ASYMPCS_TUNED_AT, halfWidthOneSided, rho } from "./sequential/asympCs.js";
import { asympLogE, unitsProblem } from "./sequential/asympEstimate.js";
import { tailsProblem } from "./sequential/tails.js";
import type { CoMoments } from "./statistics/coMoments.js";
import type { Moments } from "./statistics/moments.js";

export function compareMeans(question: Question, t: MetricEvidence, c: MetricEvidence): Measured | Unmeasured {
	const found = levelsOf(question, t, c);
	if ("note" in found) return found;
	const { challenger, baseline } = found;
	const few = unitsProblem(t.n, c.n, question.meanUnits);
	if (few !== "") return { note: few };
	const alpha = Math.min(question.alpha, question.harmAlpha);
	const rare = isRatio(question) ? denominatorProblem(t, c, alpha) : "";
	if (rare !== "") return { note: rare };
	const relative = isRelative(question);
	const sign = signOf(question.metric);
	const estimate = relative ? relativeLift(challenger, baseline) : difference(challenger, baseline);
	if (isNoEstimate(estimate)) return { note: estimate.reason };
	const above = aboveLine(question, challenger, baseline);
	const heavy = tailsProblem(isNoEstimate(above) ? estimate : above, t, c, alpha);
	if (heavy !== "") return { note: heavy };
	const { value, n } = estimate;
	const standardError = Math.sqrt(estimate.variance);
	const [atLower, atUpper] = sign === 1 ? [question.alpha, question.harmAlpha] : [question.harmAlpha, question.alpha];
	const low = reach(n, atLower);
	const high = atUpper === atLower ? low : reach(n, atUpper);
	let [lower, upper] = [value - low * standardError, value + high * standardError];
	if (relative) {
		const below = fiellerSet(challenger, baseline, low);
		const over = high === low ? below : fiellerSet(challenger, baseline, high);
		if (isNoEstimate(below) || isNoEstimate(over) || below.kind !== "interval" || over.kind !== "interval")
			return { note: "the baseline's level is not clearly different from 0, so a share of it means nothing" };
		[lower, upper] = [below.lower, over.upper];
		if (Number.isNaN(lower + upper)) return { note: "values too large for double precision" };
	}
	return turned(sign, {
		improvement: value,
		lower,
		upper,
		standardError,
		logE: tidyLogE(isNoEstimate(above) ? Number.NEGATIVE_INFINITY : asympLogE(above, question.alpha)),
		baseline: { n: c.n, mean: baseline.raw.value },
		challenger: { n: t.n, mean: challenger.raw.value },
	});
}

/** Distance of the improvement above the claim's line: linear in the levels, so as normal as they are. */
export function aboveLine(
	question: Pick<Question, "metric" | "role" | "effect" | "slowLine">,
	challenger: Level,
	baseline: Level,
): Pick<Estimate, "value" | "variance" | "n" | "contrast"> | NoEstimate {
	const sign = signOf(question.metric);
	const line = sign * lineOf(question, question.metric);
	const relative = isRelative(question);
	const contrast = relative ? liftContrast(challenger, baseline, line) : difference(challenger, baseline);
	if (isNoEstimate(contrast)) return contrast;
	const { value, variance, n } = contrast;
	return { value: sign * (relative ? value : value - line), variance, n, contrast: contrast.contrast };
}

/** The arms' levels by the metric's type, equally adjusted; or the reason why there are none. */
export function levelsOf(
	{ metric }: Pick<Question, "metric">,
	t: MetricEvidence,
	c: MetricEvidence,
): { readonly challenger: Level; readonly baseline: Level } | Unmeasured {
	const ratio = metric.spec.type === "ratio";
	const covariate = metric.spec.covariateMs !== null;
	const [tCo, cCo] = [t.co, c.co];
	if (tCo === undefined || cCo === undefined) {
		if (ratio) return { note: "the evidence has no denominators" };
		return both(plainLevel(t), plainLevel(c));
	}
	if (!ratio && !covariate) return both(plainLevel(t), plainLevel(c));
	const k = (ratio ? 2 : 1) * (covariate ? 2 : 1);
	const [cVector, tVector] = [meanVectorOf(k, cCo), meanVectorOf(k, tCo)];
	if (isNoEstimate(cVector)) return { note: cVector.reason };
	if (isNoEstimate(tVector)) return { note: tVector.reason };
	if (!covariate || (ratio && [tCo, cCo].some(hasNoPast))) return both(ratioLevel(tVector), ratioLevel(cVector));
	const adjustment = ratio ? pooledRatioAdjustment([cCo, tCo]) : pooledMeanAdjustment([cCo, tCo]);
	if (isNoEstimate(adjustment)) return { note: adjustment.reason };
	const level = ratio ? cupedRatioLevel : cupedLevel;
	return both(level(tVector, adjustment), level(cVector, adjustment));
}

/** New visitors' earlier denominators are 0; with few others the ratio is too uncertain to adjust by. */
function hasNoPast(arm: CoMoments): boolean {
	return !(meanZ(arm, 3) >= DENOMINATOR_Z_MIN);
}

/** For one variable. */
function plainLevel(moments: Moments): Level | NoEstimate {
	const vector = meanVectorOfMoments(moments);
	return isNoEstimate(vector) ? vector : meanLevel(vector);
}

function both(
	challenger: Level | NoEstimate,
	baseline: Level | NoEstimate,
): { readonly challenger: Level; readonly baseline: Level } | Unmeasured {
	if (isNoEstimate(challenger)) return { note: challenger.reason };
	if (isNoEstimate(baseline)) return { note: baseline.reason };
	return { challenger, baseline };
}

/** Standard errors from the estimate to its one-sided bound (equation 134 with s² = N·SE²). */
function reach(n: number, alpha: number): number {
	return halfWidthOneSided(Math.sqrt(n), n, alpha, rho(2 * alpha, ASYMPCS_TUNED_AT));
}
