/**
 * What an experiment's declaration claims, one entry per challenger and metric, and how the risk is shared.
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
	/** null: no such Metric; the claim stays unknown. */
	readonly metric: Metric | null;
	readonly effect: Effect;
	/** Of a quantile, else 0: see slowLine(). */
	readonly slowLine: number;
	/** Of a quantile whose thresholds are watched; null: they are no quantile's, or not frozen. */
	readonly reference: Reference | null;
	/** Of a quantile whose arms have thresholds of their own, else null. */
	readonly slow: SlowRequests | null;
	/** Units in the smaller arm below which a mean is unknown. */
	readonly meanUnits: number;
}

/**
 * Of 1 − q: by so much may the challenger's slow share exceed the baseline's and its quantile still count as inside its
 * margin. Without it nothing could be proved once neither arm has slow requests any more, as after a threshold that was
 * frozen in a slow minute. Harm is judged without it.
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

/** What a frozen threshold was made from, see Reference. */
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
 * Every claim in declared order: guardrails then goal, for each challenger. Closed arms are the caller's matter.
 * @param thresholds those frozen so far
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

/** At which level what is proved. All are fixed by the declaration, before any data. */
export interface Levels {
	/** Of each claim "better than its line". */
	readonly pass: number;
	/** Of each claim "worse than its line" over all units. */
	readonly harm: number;
	/** Of each such claim over all values of one segment together; a value has segmentShare(rank) of it. */
	readonly segmentHarm: number;
}

export type When = "until a holdback" | "in a holdback";

/** Of harm's alpha, what a declared holdback has: it is one test of one arm, and few take it back. */
const HOLDBACK_PART = 0.25;

function harmPart({ rollout }: Experiment["spec"], when: When): number {
	if (when === "in a holdback") return HOLDBACK_PART;
	return rollout.holdback === null ? 1 : 1 - HOLDBACK_PART;
}

/**
 * Two families, each with an error of at most `alpha` in total, by Bonferroni over what was *declared* (arms closed
 * later give nothing back).
 *
 * - Harm: any one claim proved worse ends its arm, so the claims share alpha: ÷ (challengers × claims). With segments
 *   one half is theirs.
 *   Where a holdback is declared, a quarter of it is that test's, which the winner alone comes to.
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

/** In the place of an era: no other freezing shares the level. */
export const WHOLE_LEVEL = 0;

/** Of the levels, what a claim has in the present era of its thresholds. */
export function levelsInEra(shared: Levels, { reference }: Pick<Claim, "reference">): Levels {
	if (reference === null || reference.era === WHOLE_LEVEL) return shared;
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

/** The confidence that the baseline's quantile has been reached at all by the sample that freezes it. */
const QUANTILE_SEEN = 0.99;

/**
 * Values below which a cap is not frozen: so many that the largest of them lies above the true quantile with 99 %
 * probability, ln(1 − 0.99)/ln(q): 459 for q = 0.99. A cap may be ill known: it is the same for both arms.
 */
export function valuesToFreeze(quantile: number): number {
	return Math.ceil(Math.log(1 - QUANTILE_SEEN) / Math.log(quantile));
}

/** Slow requests that a threshold is frozen from, in the mean: what it says of 1 − q is then known to a seventh. */
const SLOW_TO_FREEZE = 50;

/**
 * Requests below which a latency threshold is not frozen: 5,000 for q = 0.99. Frozen from 459 it was the baseline's p98.3 in the
 * median, and a verdict was about that: a challenger with half more slow requests passed in most of the runs.
 */
export function requestsToFreeze(quantile: number): number {
	return Math.ceil(SLOW_TO_FREEZE / Math.min(quantile, 1 - quantile) - 1e-9);
}
