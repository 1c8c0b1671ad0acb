/**
 * Comparisons by exact tests: rates, failures and shares of slow requests by the Bernoulli mixture; means of values in a
 * declared range, as shares of it, by the mixture and betting together if log-capital is known (sequential/averagedTest.ts).
 *
 * A quantile is tested by two thresholds and two samples. q₀ is the baseline's q-quantile as it was frozen earlier,
 * T = (1 + margin)·q₀ (or q₀ + margin, or less for a goal). A request is slow in the baseline above q₀ and in a challenger
 * above T, and the claim is that the challenger's slow share is no larger than the baseline's: harm is proved when it is larger,
 * and a pass when it is at most a little larger (SLOW_TOLERANCE). If the baseline's quantile is still q₀, its slow share is
 * 1 − q, and the challenger's is at most that exactly when its quantile is at most T. If the whole system gets slower, both
 * arms exceed their thresholds more often: a challenger whose times are at most (1 + margin) times the baseline's satisfies
 * P(challenger > T) ≤ P(baseline > q₀) for any change of the baseline, so drift alone is never harm. For other shapes the
 * claim is about the q-quantile only while the baseline's is q₀: see frozenReference.ts and quantileGrid.ts.
 */

import { WeirError } from "../../error.js";
import { levelsOf } from "./compareMeans.js";
import { difference, relativeLift } from "./estimators/contrast.js";
import { isNoEstimate, type NoEstimate } from "./estimators/estimate.js";
import type { MetricEvidence } from "./evidence.js";
import { isRelative, lineOf, type Measured, type Question, signOf, tidyLogE, type Unmeasured } from "./question.js";
import { averagedTest, type LineTest } from "./sequential/averagedTest.js";
import type { Contrast, Sample, Side } from "./sequential/bernoulliArms.js";
import { differenceBounds, RATIO_MAX, ratioBounds } from "./sequential/bernoulliBounds.js";
import { type BetaPrior, logEvidence, PRIOR_RARE, PRIOR_RATE, trialOf } from "./sequential/bernoulliMixture.js";
import {
	bettingDifferenceBounds,
	bettingRatioBounds,
	differenceLine,
	logBettingEvidence,
	ratioLine,
} from "./sequential/betting.js";
import { atCentre } from "./sequential/nullBoundary.js";
import { slowPrior } from "./slowShare.js";
import { RANGE_SLACK } from "./statistics/extremes.js";
import { problemOfCapital, problemOfMean } from "./statistics/logCapital.js";
import { problemOf } from "./statistics/moments.js";

export function compareShares(question: Question, t: MetricEvidence, c: MetricEvidence): Measured | Unmeasured {
	const problem = problemOf(t) || problemOf(c);
	if (problem !== "") return { note: problem };
	const range = rangeOf(question);
	const [st, sc] = [sampleOf(t, range), sampleOf(c, range)];
	if (st === null || sc === null) return { note: `values outside [${range.lo}, ${range.hi}]` };
	if (!(canSpread(t, range) && canSpread(c, range)))
		return { note: `a spread that no values in [${range.lo}, ${range.hi}] can have` };
	const { alpha, harmAlpha, metric } = question;
	const mixture = mixtureTest(question, st, sc);
	const bets = bettingTest(question, t, c);
	if (bets !== null && "note" in bets) return bets;
	const test = bets === null ? mixture : averagedTest(mixture, bets);
	const sign = signOf(metric);
	const relative = isRelative(question);
	// The lower bound of the improvement is at alpha, the upper one at harmAlpha; direction down swaps them.
	const bounds = sign === 1 ? test.bounds(alpha, harmAlpha) : test.bounds(harmAlpha, alpha);
	const scale = (value: number): number => sign * (relative ? value - 1 : value * (range.hi - range.lo));
	const most = (): number =>
		// A ratio beyond RATIO_MAX is unknown.
		relative && bounds.upper >= RATIO_MAX ? sign * Number.POSITIVE_INFINITY : scale(bounds.upper);
	const estimate = relative ? ratioOf(t.mean, c.mean) : t.mean - c.mean;
	const { side, contrast } = halfPlane(question, lineOf(question, metric), range);
	return {
		improvement: estimate === null ? null : 0 + sign * estimate,
		// Lazy, see boundsAlong().
		get lower() {
			return sign === 1 ? scale(bounds.lower) : most();
		},
		get upper() {
			return sign === 1 ? most() : scale(bounds.lower);
		},
		standardError: bets === null ? null : standardErrorOf(question, t, c),
		logE: tidyLogE(test.logE(side, relative ? contrast.slope : contrast.offset)),
		baseline: { n: c.n, mean: c.mean },
		challenger: { n: t.n, mean: t.mean },
	};
}

/** Values in [lo, hi] with this mean have the largest variance if each is lo or hi. */
function canSpread({ n, mean, m2 }: MetricEvidence, { lo, hi }: Range): boolean {
	const most = n * Math.max(0, mean - lo) * Math.max(0, hi - mean);
	return m2 <= most + RANGE_SLACK * n * (hi - lo) ** 2;
}

/** The ratio minus 1; null = the denominator is 0 or too small. */
function ratioOf(t: number, c: number): number | null {
	const ratio = c > 0 ? t / c : Number.NaN;
	return Number.isFinite(ratio) ? ratio - 1 : null;
}

/** Slack of bounds, in nats. */
const BOUND_NATS = 1e-3;

/**
 * Fast check whether an improvement below `line` may be provable: the e-value at the line's most likely null point is at least
 * the infimum that decides, and costs a hundredth of the search for a bound. true if not only the mixture decides.
 */
export function mayBeBelow(question: Question, t: MetricEvidence, c: MetricEvidence, line: number): boolean {
	if (line === Number.NEGATIVE_INFINITY) return false;
	if (t.capital !== undefined && c.capital !== undefined && question.metric.spec.range !== null) return true;
	const range = rangeOf(question);
	const [st, sc] = [sampleOf(t, range), sampleOf(c, range)];
	if (st === null || sc === null) return true;
	const { side, contrast } = halfPlane(question, line, range);
	const bar = -Math.log(question.harmAlpha) - BOUND_NATS;
	if (logRatioAtMost(st, sc, contrast) < bar) return false;
	const trial = trialOf(side === "above" ? "below" : "above", st, sc, priorOf(question), question.shares);
	return atCentre(trial, contrast).value >= bar;
}

/**
 * Upper bound of the mixture's e-value at the pooled point of the line: it is a mean of likelihood ratios against that point,
 * each at most that of the observed means, n·KL for each arm; and KL ≤ χ² (Gibbs & Su, International Statistical Review 70,
 * 2002).
 */
function logRatioAtMost(t: Sample, c: Sample, { slope, offset }: Contrast): number {
	const pc = (t.sum - offset * t.n + c.sum) / (slope * t.n + c.n);
	const pt = slope * pc + offset;
	const chi2 = ({ n, sum }: Sample, p: number): number =>
		p > 0 && p < 1 ? (n * (sum / n - p) ** 2) / (p * (1 - p)) : Number.POSITIVE_INFINITY;
	return chi2(t, pt) + chi2(c, pc);
}

/** By the Bernoulli mixture: lines are ratios of shares, or their differences. */
function mixtureTest(question: Question, t: Sample, c: Sample): LineTest {
	const prior = priorOf(question);
	const { shares } = question;
	const relative = isRelative(question);
	return {
		logE: (side, x) => logEvidence(side, t, c, relative ? ratioLine(x, 0) : differenceLine(x), prior, shares),
		bounds: (lower, upper) => (relative ? ratioBounds : differenceBounds)(t, c, lower, prior, shares, upper),
	};
}

/**
 * By betting, for the same lines. Shares are of the whole declared range, so that a ratio of means includes 0. null = no
 * log-capital; a string = the reason why it belongs to other values.
 */
function bettingTest(question: Question, t: MetricEvidence, c: MetricEvidence): LineTest | Unmeasured | null {
	const { range } = question.metric.spec;
	const [challenger, baseline] = [t.capital, c.capital];
	if (range === null || challenger === undefined || baseline === undefined) return null;
	const outside = t.n - challenger.n + c.n - baseline.n;
	if (outside !== 0) return { note: `values of ${outside} units are outside [${range.lo}, ${range.hi}]` };
	const share = (mean: number): number => (mean - range.lo) / (range.hi - range.lo);
	const problem =
		problemOfCapital(challenger) ||
		problemOfCapital(baseline) ||
		problemOfMean(challenger, share(t.mean)) ||
		problemOfMean(baseline, share(c.mean));
	if (problem !== "") return { note: problem };
	const relative = isRelative(question);
	const zero = relative ? range.lo / (range.hi - range.lo) : 0;
	const orThrow = <Result extends object | number>(result: Result | NoEstimate): Result => {
		if (typeof result === "object" && isNoEstimate(result)) throw new WeirError("internal", result.reason);
		return result as Result;
	};
	return {
		logE: (side, x) =>
			orThrow(logBettingEvidence(side, challenger, baseline, relative ? ratioLine(x, zero) : differenceLine(x))),
		bounds: (lower, upper) =>
			orThrow(
				relative
					? bettingRatioBounds(challenger, baseline, lower, upper, zero)
					: bettingDifferenceBounds(challenger, baseline, lower, upper),
			),
	};
}

/** Standard error of the improvement; null = none, e.g. without variance. */
function standardErrorOf(question: Question, t: MetricEvidence, c: MetricEvidence): number | null {
	const levels = levelsOf(question, t, c);
	if ("note" in levels) return null;
	const { challenger, baseline } = levels;
	const estimate = isRelative(question) ? relativeLift(challenger, baseline) : difference(challenger, baseline);
	return isNoEstimate(estimate) ? null : Math.sqrt(estimate.variance);
}

interface Range {
	readonly lo: number;
	readonly hi: number;
}

/** Values in [lo, hi] with lo above 0 lie in [0, hi] too: a ratio of means is one of shares there. */
function rangeOf(question: Pick<Question, "metric" | "effect">): Range {
	const { type, range } = question.metric.spec;
	if (type !== "mean" || range === null) return { lo: 0, hi: 1 };
	return isRelative(question) ? { lo: 0, hi: range.hi } : range;
}

function sampleOf({ n, mean }: Pick<MetricEvidence, "n" | "mean">, { lo, hi }: Range): Sample | null {
	const share = (mean - lo) / (hi - lo);
	return share >= -RANGE_SLACK && share <= 1 + RANGE_SLACK ? { n, sum: n * Math.min(1, Math.max(0, share)) } : null;
}

/** The prior for a metric's shares: near 0 for failures. */
export function priorOf({ metric }: Pick<Question, "metric">): BetaPrior {
	const { source, quantile } = metric.spec;
	if (quantile !== null) return slowPrior(quantile);
	return source === "outcome" ? PRIOR_RATE : PRIOR_RARE;
}

/** "Better than a line" of the finding's scale, as a half-plane of the two shares. */
function halfPlane(
	question: Pick<Question, "metric" | "effect">,
	improvement: number,
	{ lo, hi }: Range,
): { readonly side: Side; readonly contrast: Contrast } {
	const sign = signOf(question.metric);
	const line = sign * improvement;
	const side: Side = sign === 1 ? "above" : "below";
	if (isRelative(question)) return { side, contrast: { slope: Math.max(0, 1 + line), offset: 0 } };
	return { side, contrast: { slope: 1, offset: line / (hi - lo) } };
}
