/**
 * The claims of an experiment: statements about one challenger and one metric that are tested, and their share of alpha. The
 * line of a claim is the margin or improvement that it is tested against.
 */
import type { Effect, Experiment, Metric } from "../../declare/resources/resource.js";
import type { SlowRequests } from "./finding.js";
import { eraShare, type Reference } from "./frozenReference.js";
import { ASYMPCS_MIN_UNITS } from "./sequential/asympCs.js";

export interface Claim {
	readonly arm: string;
	readonly role: "goal" | "guardrail";
	/** As named in the goal or guardrail. */
	readonly metricName: string;
	/** null = the Metric does not exist; the claim stays unknown. */
	readonly metric: Metric | null;
	readonly effect: Effect;
	/** For a quantile, see slowLine(); else 0. */
	readonly slowLine: number;
	/** For a quantile with frozen thresholds, else null. */
	readonly reference: Reference | null;
	/** For a quantile with separate thresholds of the arms, else null. */
	readonly slow: SlowRequests | null;
	/** Units in the smaller arm below which a mean is unknown. */
	readonly meanUnits: number;
}

/**
 * Tolerance of a quantile's pass, as a share of 1 − q: the challenger's slow share may exceed the baseline's by it. Without it
 * nothing could be proved if neither arm has slow requests, e.g. if the threshold was frozen in a slow minute. The harm test does not use it.
 */
const SLOW_TOLERANCE = 0.25;

/**
 * How far the challenger's slow share may exceed the baseline's for a quantile's guardrail to pass: SLOW_TOLERANCE of
 * 1 − q.
 */
function slowLine(metric: Metric | undefined): number {
	const quantile = metric?.spec.quantile ?? null;
	return quantile === null ? 0 : SLOW_TOLERANCE * (1 - quantile);
}

/** The source of a frozen threshold, see Reference. */
function referenceOf(metric: Metric | undefined, threshold: unknown): Reference | null {
	const quantile = metric?.spec.quantile ?? null;
	if (quantile === null || typeof threshold !== "object" || threshold === null) return null;
	if (!("era" in threshold && "referenceMs" in threshold)) return null;
	const { referenceMs, era } = threshold;
	return { quantile, referenceMs: Number(referenceMs), era: Number(era), grid: "gridMs" in threshold };
}

function slowOf(metric: Metric | undefined, threshold: unknown, effect: Effect): SlowRequests | null {
	if (metric?.spec.type !== "quantile" || typeof threshold !== "object" || threshold === null) return null;
	if (!("thresholdMs" in threshold && "referenceMs" in threshold)) return null;
	return { baselineMs: Number(threshold.referenceMs), challengerMs: Number(threshold.thresholdMs), effect };
}

/**
 * All claims in declared order: for each challenger guardrails, then the goal. Includes closed arms.
 * @param thresholds frozen so far
 */
export function claims(
	experiment: Experiment,
	metrics: Readonly<Record<string, Metric>>,
	thresholds: Readonly<Record<string, unknown>> = {},
): Claim[] {
	const { arms, guardrails, goal } = experiment.spec;
	const result: Claim[] = [];
	for (const arm of arms) {
		if (arm.baseline) continue;
		const add = (role: Claim["role"], metricName: string, effect: Effect): void => {
			const [metric, threshold] = [metrics[metricName], thresholds[metricName]];
			result.push({
				arm: arm.name,
				role,
				metricName,
				metric: metric ?? null,
				effect,
				slowLine: slowLine(metric),
				reference: referenceOf(metric, threshold),
				slow: slowOf(metric, threshold, effect),
				meanUnits: ASYMPCS_MIN_UNITS,
			});
		};
		for (const { metric, margin } of guardrails) add("guardrail", metric, margin);
		if (goal !== null) add("goal", goal.metric, goal.improveBy);
	}
	return result;
}

/** Levels of the tests, fixed by the declaration before any data. */
export interface Levels {
	/** For each claim "better than its line". */
	readonly pass: number;
	/** For each claim "worse than its line" over all units. */
	readonly harm: number;
	/** For each such claim over all values of one segment together; one value has segmentShare(rank) of it. */
	readonly segmentHarm: number;
}

export type When = "until a holdback" | "in a holdback";

/** The share of harm's alpha for a declared holdback, which tests only the winner. */
const HOLDBACK_PART = 0.25;

function harmPart({ rollout }: Experiment["spec"], when: When): number {
	if (when === "in a holdback") return HOLDBACK_PART;
	return rollout.holdback === null ? 1 : 1 - HOLDBACK_PART;
}

/**
 * Two families, each with an error of at most `alpha` in total, by Bonferroni over what was *declared* (arms closed
 * later give nothing back).
 *
 * - Harm: any one claim proved worse ends its arm, so the claims share alpha: ÷ (challengers × claims). With segments,
 *   half of each claim's level goes to them, divided equally. A declared holdback has a quarter of alpha, not divided by
 *   challengers: it tests only the winner.
 * - Promotion: an arm is promoted only if *every* claim of it is proved better, so alpha is not shared by its claims.
 *   A wrong promotion of an arm means that at least one of its claims is wrong, and it was proved all the same: that has
 *   a probability of at most the level of this one claim, whichever it is (intersection–union test; Berger,
 *   Technometrics 24, 1982). Over challengers: ÷ challengers.
 */
export function levels({ spec }: Experiment, when: When = "until a holdback"): Levels {
	const { arms, guardrails, goal, rollout, segments } = spec;
	const challengers = Math.max(1, arms.filter((arm) => !arm.baseline).length);
	const claimed = Math.max(1, guardrails.length + (goal === null ? 0 : 1));
	const pass = rollout.alpha / challengers;
	const each = (harmPart(spec, when) * (when === "in a holdback" ? rollout.alpha : pass)) / claimed;
	if (segments.length === 0) return { pass, harm: each, segmentHarm: 0 };
	return { pass, harm: each / 2, segmentHarm: each / 2 / segments.length };
}

/** Stands in for an era: the threshold is frozen only once, so the claim keeps its full level. */
export const NO_ERA = 0;

/** A claim's levels in the current era of its thresholds. */
export function levelsInEra(shared: Levels, { reference }: Pick<Claim, "reference">): Levels {
	if (reference === null || reference.era === NO_ERA) return shared;
	const share = eraShare(reference.era);
	return { pass: share * shared.pass, harm: share * shared.harm, segmentHarm: share * shared.segmentHarm };
}

/**
 * The share of a segment's level that its value of this rank has: 1/2, 1/6, 1/12, … which add up to 1. Values are
 * ranked as they appear, so a new one takes nothing from those before it.
 */
export function segmentShare(rank: number): number {
	return 1 / ((rank + 1) * (rank + 2));
}

/** Names of the metrics that the goal and the guardrails use, each once. */
export function claimedMetrics(experiment: Experiment): string[] {
	const { guardrails, goal } = experiment.spec;
	return [...new Set([...guardrails.map((guardrail) => guardrail.metric), ...(goal === null ? [] : [goal.metric])])];
}

/**
 * The challengers' latency threshold of a quantile metric from the baseline's own quantile q: (1 + margin)·q or q + margin
 * for a guardrail, (1 − improveBy)·q or q − improveBy for a goal. A metric that is both takes the guardrail's (the goal
 * is then unknown: one observation per metric).
 */
export function latencyThresholdMs(experiment: Experiment, metricName: string, baselineQuantileMs: number): number {
	const guardrail = experiment.spec.guardrails.find(({ metric }) => metric === metricName);
	const goal = experiment.spec.goal;
	const effect = guardrail?.margin ?? (goal?.metric === metricName ? goal.improveBy : null);
	if (effect === null) return baselineQuantileMs;
	const sign = guardrail === undefined ? -1 : 1;
	return effect.kind === "relative"
		? baselineQuantileMs * (1 + sign * effect.value)
		: baselineQuantileMs + sign * effect.value;
}

/** Confidence that the largest value of the freezing sample exceeds the quantile. */
const QUANTILE_SEEN = 0.99;

/**
 * Minimum of values to freeze a cap: the largest is above the true quantile with 99 % probability, ln(1 − 0.99)/ln(q): 459 for
 * q = 0.99. A cap need not be precise, because it is the same for both arms.
 */
export function valuesToFreeze(quantile: number): number {
	return Math.ceil(Math.log(1 - QUANTILE_SEEN) / Math.log(quantile));
}

/** Expected slow requests in the sample that freezes a threshold: 1 − q is then known to a seventh. */
const SLOW_TO_FREEZE = 50;

/**
 * Minimum of requests to freeze a latency threshold: 5,000 for q = 0.99. From 459 it was the baseline's p98.3 in the median, and
 * a challenger with 50 % more slow requests passed in most runs.
 */
export function requestsToFreeze(quantile: number): number {
	return Math.ceil(SLOW_TO_FREEZE / Math.min(quantile, 1 - quantile) - 1e-9);
}
