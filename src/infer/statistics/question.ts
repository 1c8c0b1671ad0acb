/**
 * The question about two arms, its method and its answer: for a claim over all units, in a segment, in a period or in an arm
 * of another Experiment.
 */
import type { Effect, Experiment, Metric } from "../../declare/resources/resource.js";
import type { Claim } from "./claim.js";
import type { MetricEvidence } from "./evidence.js";
import { LOG_E_MAX, type Method } from "./finding.js";
import type { Reference } from "./frozenReference.js";
import type { ArmShares } from "./sequential/bernoulliMixture.js";

/** A question. Everything in it is fixed before the data. */
export interface Question {
	readonly metric: Metric;
	readonly role: "goal" | "guardrail";
	readonly effect: Effect;
	/** As in Claim. */
	readonly slowLine: number;
	readonly reference: Reference | null;
	readonly meanUnits: number;
	/** Arms' units by design; affects only the power. */
	readonly shares: ArmShares;
	/** One-sided levels of the lower and of the upper bound. */
	readonly alpha: number;
	readonly harmAlpha: number;
}

/** On the finding's scale, positive is better. */
export interface Measured {
	readonly improvement: number | null;
	/** Infinite = no bound. */
	readonly lower: number;
	readonly upper: number;
	readonly standardError: number | null;
	/** ln of the e-value for "better than the line". */
	readonly logE: number;
	/** Unadjusted levels, for display. */
	readonly baseline: { readonly n: number; readonly mean: number };
	readonly challenger: { readonly n: number; readonly mean: number };
}

/** Why there is no answer. */
export interface Unmeasured {
	readonly note: string;
}

/**
 * The method by metric:
 *
 * | metric                                         | method            | holds                                  |
 * |------------------------------------------------|-------------------|----------------------------------------|
 * | rate, errors, share of slow requests           | bernoulli-mixture | exactly, at any number of units        |
 * | mean with a range, in whole arms               | betting           | exactly, on (value − lo) ÷ (hi − lo)   |
 * | mean with a range, in parts of arms            | bernoulli-mixture | exactly, on the same                   |
 * | mean; with a covariate by CUPED                | asympcs           | from ASYMPCS_MIN_UNITS in each arm     |
 * | ratio of sums, by the delta method; with CUPED | asympcs           | from ASYMPCS_MIN_UNITS in each arm     |
 *
 * The last two need that no unit outweighs the others (sequential/tails.ts), which is checked; a ratio also needs enough
 * denominators (estimators/denominators.ts). AsympCS on rare events is unsafe (a true difference at a margin
 * of 0.2 pp was passed in 82 % of runs), so failures never go there, whatever the declared type.
 *
 * Betting needs sums that only evidence of whole arms has. The choice depends on whether the sums
 * exist, never on their values.
 */
export function methodOf(
	{ metric, effect }: Pick<Question, "metric" | "effect">,
	arms: readonly Pick<MetricEvidence, "capital">[] = [],
): Method {
	const { type, source, range } = metric.spec;
	if (type === "rate" || type === "quantile" || source === "errors") return "bernoulli-mixture";
	// With a baseline that may be negative, a relative line is not linear in shares of the range.
	if (type === "mean" && range !== null && (effect.kind === "absolute" || range.lo >= 0)) {
		return arms.length > 0 && arms.every(({ capital }) => capital !== undefined && capital !== null)
			? "betting"
			: "bernoulli-mixture";
	}
	return "asympcs";
}

/** Whether the scale is relative to the baseline. Slow shares are not: the effect's size is in the threshold. */
export function isRelative({ metric, effect }: Pick<Question, "metric" | "effect">): boolean {
	return metric.spec.type !== "quantile" && effect.kind === "relative";
}

/** Whether it needs enough denominators. */
export function isRatio({ metric }: Pick<Question, "metric">): boolean {
	return metric.spec.type === "ratio";
}

/** 1 if more is better. Slower is always worse, whatever the metric's direction. */
export function signOf({ spec }: Metric): 1 | -1 {
	return spec.type === "quantile" || spec.direction === "down" ? -1 : 1;
}

/** Line on the finding's scale. For a quantile the effect's size is in the challengers' threshold. */
export function lineOf(
	{ role, effect, slowLine }: Pick<Question, "role" | "effect" | "slowLine">,
	metric: Metric | null,
): number {
	if (metric?.spec.type === "quantile") return role === "goal" ? 0 : 0 - slowLine;
	return role === "goal" ? effect.value : -effect.value;
}

/**
 * A claim below this line is harm. −∞ (never) for a goal on a quantile: its threshold is below the baseline's, so a challenger
 * equal to the baseline has the larger share.
 */
export function harmLineOf(
	question: Pick<Question, "role" | "effect" | "slowLine" | "reference">,
	metric: Metric,
): number {
	const { quantile } = metric.spec;
	if (question.role === "goal" && question.reference !== null) return Number.NEGATIVE_INFINITY;
	// Separate thresholds of the arms include the margin.
	if (quantile !== null && question.slowLine < 1 - quantile) return 0;
	return question.role === "goal" ? 0 : lineOf(question, metric);
}

/** For a quantile: the question about its thresholds. */
export function thresholdsOf({ role, slowLine, shares }: Pick<Question, "role" | "slowLine" | "shares">) {
	return { tolerance: role === "goal" ? 0 : slowLine, shares };
}

export function isMeasured(result: Measured | Unmeasured): result is Measured {
	return "lower" in result;
}

/**
 * Whether it is proved worse than the line, if the metric allows it (mayHarm). Checks the estimate first, because the upper
 * bound is above it and expensive.
 */
export function isHarm(measured: Pick<Measured, "improvement" | "upper">, line: number, may: () => boolean): boolean {
	const { improvement } = measured;
	return (improvement === null || improvement < line) && may() && measured.upper < line;
}

/** Limits the value to ±LOG_E_MAX. */
export function tidyLogE(logE: number): number {
	return Math.min(LOG_E_MAX, Math.max(-LOG_E_MAX, logE));
}

/** Changes the sign of a difference so that positive is better. */
export function turned<Bounds extends Pick<Measured, "improvement" | "lower" | "upper">>(
	sign: 1 | -1,
	bounds: Bounds,
): Bounds {
	if (sign === 1) return bounds;
	const { improvement, lower, upper } = bounds;
	return { ...bounds, improvement: improvement === null ? null : 0 - improvement, lower: 0 - upper, upper: 0 - lower };
}

/** The question of a claim. */
export function questionOf(
	claim: Pick<Claim, "role" | "effect" | "slowLine" | "reference" | "meanUnits" | "arm">,
	metric: Metric,
	experiment: Experiment,
	alpha: number,
	harmAlpha: number,
): Question {
	const { role, effect, slowLine, reference, meanUnits, arm } = claim;
	const shares = sharesOf(experiment, arm);
	return { metric, role, effect, slowLine, reference, meanUnits, shares, alpha, harmAlpha };
}

/** Name of the baseline arm. */
export function baselineOf({ spec }: Experiment): string {
	return spec.arms.find((arm) => arm.baseline)?.name ?? "";
}

/** The baseline's Variant. */
export function baselineVariant({ spec }: Experiment): string {
	return spec.arms.find((arm) => arm.baseline)?.variant ?? "";
}

/** Declared weights of the two arms, constant during a run. */
export function sharesOf(experiment: Experiment, challenger: string): ArmShares {
	const weight = (name: string): number =>
		Math.max(1, experiment.spec.arms.find((arm) => arm.name === name)?.weight ?? 1);
	return { challenger: weight(challenger), baseline: weight(baselineOf(experiment)) };
}
