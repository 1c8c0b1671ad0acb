/** Builds the input of a plan from the declaration and the known evidence, and lists what is unknown. */

import type { Experiment, Metric } from "../../declare/resources/resource.js";
import type { PlanInput, PlanTraffic } from "../../infer/planning/plan.js";
import { boundsOf, isPossible, type PlanMetric, planLine } from "../../infer/planning/planMetric.js";
import { type Claim, claimedMetrics, claims, valuesToFreeze } from "../../infer/statistics/claim.js";
import { isRelative, methodOf, signOf } from "../../infer/statistics/question.js";
import { PPM } from "../../limits/index.js";
import type { Baseline, PlanEvidence } from "./planEvidence.js";

export interface Assumptions {
	readonly power: number;
	/** End of the plan in days; null = the declared maxDuration, else PLAN_DAYS. */
	readonly days: number | null;
	/** Expected improvements by metric, on the scale of the claim; absent = believedByDefault(). */
	readonly effects: Readonly<Record<string, number>>;
}

export interface Planned {
	/** null = no metric can be planned. */
	readonly input: PlanInput | null;
	/** The baseline of each planned metric. */
	readonly baselines: Readonly<Record<string, Baseline>>;
	/** What is unknown, each with the flag to set. */
	readonly unknown: readonly string[];
}

/** Four whole weeks, so that all weekdays count equally. */
export const PLAN_DAYS = 28;

/** A goal is planned for twice the improvement that it must prove, unless one is given. */
const BELIEVED_OVER_ASKED = 2;

/**
 * Assumed share of slow requests of a good challenger, relative to the baseline's. The real one depends on the unknown shape
 * of the tail, so the plan reports it as an assumption.
 */
const SLOW_LEFT = 0.5;

const DAY_MS = 86_400_000;

export function planInputOf(
	experiment: Experiment,
	metrics: Readonly<Record<string, Metric>>,
	known: PlanEvidence,
	assumed: Assumptions,
): Planned {
	const { arms, rollout } = experiment.spec;
	const unknown: string[] = [];
	const baselines: Record<string, Baseline> = {};
	const challenger = arms.find(({ baseline }) => !baseline)?.name;
	// Every challenger has the same claims.
	const planned = claims(experiment, metrics).flatMap((claim): PlanMetric[] => {
		if (claim.arm !== challenger || claim.metric === null) return [];
		const { metricName: name } = claim;
		const baseline = known.baselines[name] ?? assumedBaseline(claim.metric);
		const one =
			baseline === null ? levelUnknown(claim, claim.metric) : metricOf(claim, claim.metric, baseline, assumed);
		if (typeof one === "string" || baseline === null) {
			unknown.push(String(one));
			return [];
		}
		baselines[name] = baseline;
		const doubt = doubtOf(one, assumed);
		if (doubt !== "") unknown.push(doubt);
		return [one];
	});
	if (known.traffic === null) unknown.push("how many new people come a day: give --traffic UNITS_PER_DAY to get days");
	for (const name of claimedMetrics(experiment)) {
		const cap = metrics[name]?.spec.cap ?? null;
		if (cap === null || !("quantile" in cap)) continue;
		const from = `${valuesToFreeze(cap.quantile)} values of ${rollout.minUnits} people`;
		unknown.push(
			`when the cap of ${name} is frozen, from the baseline's first ${from} or more: who came before does not count, so days are later by that`,
		);
	}
	const weights = [...arms].sort((a, b) => Number(b.baseline) - Number(a.baseline)).map(({ weight }) => weight);
	const traffic =
		known.traffic === null ? null : trafficOf(experiment, metrics, known.traffic.newUnitsPerDay, assumed.days);
	const { alpha, inference: design } = rollout;
	const input = { metrics: planned, design, weights, alpha, power: assumed.power, traffic };
	return { input: planned.length === 0 ? null : input, baselines, unknown };
}

function levelUnknown({ metricName: name, effect }: Claim, metric: Metric): string {
	const method = methodOf({ metric, effect });
	const spread = method === "asympcs" ? " and spread" : "";
	const form = method === "asympcs" ? "MEAN,SD,MOST" : metric.spec.type === "mean" ? "MEAN[,SD]" : "MEAN";
	return `the level${spread} of ${name}: give --baseline ${name}=${form}`;
}

/** The assumption that was made, with the flag to replace it; empty = none. */
function doubtOf(one: PlanMetric, { effects }: Assumptions): string {
	const { name, role, metric, variance, believed } = one;
	if (metric.spec.type === "quantile")
		return effects[name] !== undefined
			? ""
			: `how many requests of a good challenger are slower than its limit of ${name}, so half of the baseline's are assumed: give --effect ${name}=SIZE, by how much fewer`;
	if (role === "goal" && !isPossible(one, planLine(one)))
		return `how a challenger could improve ${name} by what is asked: from its level there is no room for it`;
	if (role === "goal" && believed <= planLine(one))
		return `how large an improvement of ${name} is believed to be there: give --effect ${name}=SIZE`;
	if (methodOf(one) === "asympcs" && one.farthest === undefined)
		return `how far the farthest value of ${name} lies out, so light tails are assumed: give --baseline ${name}=MEAN,SD,MOST`;
	if (metric.spec.type === "mean" && variance === null)
		return `the spread of ${name}, so its numbers are those of the widest that its range allows: give --baseline ${name}=MEAN,SD`;
	return "";
}

/** Slow shares have a baseline by construction: 1 − q of the requests lie above their own q-quantile. */
function assumedBaseline({ spec }: Metric): Baseline | null {
	if (spec.type !== "quantile" || spec.quantile === null) return null;
	return { mean: 1 - spec.quantile, variance: null, from: "by construction" };
}

/** The claim with its baseline; a string = what is missing. */
function metricOf(claim: Claim, metric: Metric, baseline: Baseline, { effects }: Assumptions): PlanMetric | string {
	const { metricName: name, role, effect, slowLine } = claim;
	const { mean, variance } = baseline;
	const { type } = metric.spec;
	const given = effects[name];
	const asked = { name, metric, role, effect, slowLine, baselineMean: mean, variance, believed: 0 };
	const one = { ...asked, believed: given ?? believedByDefault(asked) };
	const bounds = boundsOf(one);
	if (bounds !== null && !(mean >= bounds.lo && mean <= bounds.hi))
		return `the level of ${name} is ${mean}, outside of its range: give --baseline ${name}=MEAN`;
	if (bounds === null && !(variance !== null && variance > 0))
		return `the spread of ${name}: give --baseline ${name}=MEAN,SD`;
	const widest =
		bounds === null || type !== "mean" ? Number.POSITIVE_INFINITY : (mean - bounds.lo) * (bounds.hi - mean);
	if (variance !== null && variance > SAMPLE_EXCESS * widest)
		return `the spread of ${name} is ${Math.sqrt(variance)}, more than its range allows at a level of ${mean}: give --baseline ${name}=MEAN,SD`;
	if (isRelative(one) && mean === 0)
		return `${name} is 0 in the baseline, and a share of 0 is nothing: give --baseline ${name}=MEAN`;
	// A variance of 0 counts as unmeasured.
	const spread = variance === null || variance === 0 ? null : Math.min(variance, widest);
	const { farthest } = baseline;
	return bounds !== null || farthest === undefined
		? { ...one, variance: spread }
		: { ...one, variance: spread, farthest };
}

/** For a goal, more than it must prove; if the range does not allow it, half-way to the range's end. */
function believedByDefault(one: PlanMetric): number {
	const { metric, role, effect, baselineMean } = one;
	const { quantile } = metric.spec;
	if (quantile !== null) return (1 - quantile) * SLOW_LEFT;
	if (role === "guardrail") return 0;
	const more = BELIEVED_OVER_ASKED * effect.value;
	const bounds = boundsOf(one);
	if (bounds === null || isPossible(one, more)) return more;
	const room = signOf(metric) === 1 ? bounds.hi - baselineMean : baselineMean - bounds.lo;
	return (effect.value + (isRelative(one) ? room / Math.abs(baselineMean) : room)) / 2;
}

/** The largest n/(n − 1): a sample's variance may exceed the range's limit by this factor. */
const SAMPLE_EXCESS = 2;

function trafficOf(
	experiment: Experiment,
	metrics: Readonly<Record<string, Metric>>,
	newUnitsPerDay: PlanTraffic["newUnitsPerDay"],
	days: number | null,
): PlanTraffic {
	const { layer, rollout } = experiment.spec;
	const windows = claimedMetrics(experiment).map((name) => metrics[name]?.spec.windowMs ?? 0);
	const declared = rollout.maxDurationMs === null ? PLAN_DAYS : rollout.maxDurationMs / DAY_MS;
	return {
		newUnitsPerDay,
		slotShare: (layer.slotHiPpm - layer.slotLoPpm) / PPM,
		steps: rollout.stepsPpm.map((step) => step / PPM),
		stepDays: rollout.everyMs / DAY_MS,
		stepUnits: rollout.minUnits,
		matureDays: Math.max(0, ...windows) / DAY_MS,
		horizonDays: days ?? declared,
		core:
			rollout.bandit === null ? null : { share: rollout.bandit.floorPpm / PPM, days: rollout.bandit.everyMs / DAY_MS },
	};
}
