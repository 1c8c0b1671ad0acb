/**
 * Comparisons by the exact Bernoulli mixture: rates, failures, shares of slow requests, and means of values that keep
 * a declared range, seen as shares of it.
 *
 * A quantile is tested by two thresholds and two samples. q₀ is the baseline's q-quantile as it was frozen earlier,
 * T = (1 + margin)·q₀ (or q₀ + margin, or less for a goal). A request is slow in the baseline above q₀ and in a challenger
 * above T, and the claim is that the challenger's slow share is no larger than the baseline's, line 0. If the baseline's
 * quantile is still q₀, its slow share is 1 − q, and the challenger's is at most that exactly when its quantile is at most
 * T. And if the whole system is slower by now, both arms exceed their thresholds more often, alike: a challenger whose times
 * are at most the baseline's stretched by (1 + margin) satisfies P(challenger > T) ≤ P(baseline > q₀) whatever the
 * baseline has become, so that no drift makes it look harmful. It works for a median as for a p99.
 */
import type { Metric } from "../resources/resource.js";
import type { MetricEvidence } from "./evidence.js";
import type { Finding } from "./finding.js";
import { isRelative, lineOf, type Measured, type Question, signOf, tidyLogE, type Unmeasured } from "./question.js";
import {
	type Contrast,
	challengerOn,
	logLikelihood,
	mostLikelyOn,
	type Sample,
	type Side,
	segment,
} from "./sequential/bernoulliArms.js";
import { differenceBounds, ratioBounds } from "./sequential/bernoulliBounds.js";
import { type BetaPrior, logEvidence, PRIOR_RARE, PRIOR_RATE } from "./sequential/bernoulliMixture.js";
import { problemOf } from "./statistics/moments.js";

/** From this quantile on, slow requests are rare. */
const RARE_QUANTILE = 0.9;

/** Rounding that a mean may leave [0, 1] by. */
const SLACK = 1e-9;

export function compareShares(question: Question, t: MetricEvidence, c: MetricEvidence): Measured | Unmeasured {
	const problem = problemOf(t) || problemOf(c);
	if (problem !== "") return { note: problem };
	const range = rangeOf(question);
	const [st, sc] = [sampleOf(t, range), sampleOf(c, range)];
	if (st === null || sc === null) return { note: `values outside [${range.lo}, ${range.hi}]` };
	const { shares, alpha, harmAlpha, metric } = question;
	const prior = priorOf(question);
	const sign = signOf(metric);
	const relative = isRelative(question);
	// The lower bound of the improvement is at alpha, the upper one at harmAlpha; down turns them.
	const [atLower, atUpper] = sign === 1 ? [alpha, harmAlpha] : [harmAlpha, alpha];
	const bounds = (relative ? ratioBounds : differenceBounds)(st, sc, atLower, prior, shares, atUpper);
	const scale = (value: number): number => sign * (relative ? value - 1 : value * (range.hi - range.lo));
	const estimate = relative ? (c.mean > 0 ? t.mean / c.mean - 1 : null) : t.mean - c.mean;
	const { side, contrast } = halfPlane(question, lineOf(question, metric), range);
	return {
		improvement: estimate === null ? null : 0 + sign * estimate,
		// Searched for when read, see boundsAlong().
		get lower() {
			return scale(sign === 1 ? bounds.lower : bounds.upper);
		},
		get upper() {
			return scale(sign === 1 ? bounds.upper : bounds.lower);
		},
		standardError: null,
		logE: tidyLogE(logEvidence(side, st, sc, contrast, prior, shares)),
		baseline: { n: c.n, mean: c.mean },
		challenger: { n: t.n, mean: t.mean },
	};
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
	return share >= -SLACK && share <= 1 + SLACK ? { n, sum: n * Math.min(1, Math.max(0, share)) } : null;
}

function priorOf({ metric }: Pick<Question, "metric">): BetaPrior {
	const { source, quantile } = metric.spec;
	return source === "outcome" || (quantile !== null && quantile < RARE_QUANTILE) ? PRIOR_RATE : PRIOR_RARE;
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

/** ln of the likelihood ratio between the shares seen in a finding and the likeliest ones on its line. */
export function sharesAgainstLine(metric: Metric, finding: Finding): number {
	const { role, line, relative = false } = finding;
	const question = { metric, role, effect: { kind: relative ? "relative" : "absolute", value: 0 } } as const;
	const range = rangeOf(question);
	const [t, c] = [sampleOf(finding.challenger, range), sampleOf(finding.baseline, range)];
	const { contrast } = halfPlane(question, line, range);
	const ends = segment(contrast);
	if (t === null || c === null || ends === null) return 0;
	const on = mostLikelyOn(t, c, contrast, ends);
	const seen = logLikelihood(t, t.sum / t.n) + logLikelihood(c, c.sum / c.n);
	return seen - logLikelihood(t, challengerOn(contrast, on)) - logLikelihood(c, on);
}
