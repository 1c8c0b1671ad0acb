/** A declaration and what is known of the Service, as the planning asks for it; and in words what is not known. */
import { claimedMetrics } from "../analysis/claim.js";
import type { PlanInput, PlanMetric, PlanTraffic } from "../analysis/planning/plan.js";
import { isRelative, lineOf, methodOf, signOf } from "../analysis/question.js";
import { PPM } from "../limits.js";
import type { Effect, Experiment, Metric } from "../resources/resource.js";
import type { Baseline, PlanFacts } from "./planFacts.js";

export interface Assumptions {
	readonly power: number;
	/** End of the plan in days; null = the declared maxDuration, else PLAN_DAYS. */
	readonly days: number | null;
	/** Improvements that are believed to be there, by metric, on the scale of the claim; else what DEFAULT_EFFECT says. */
	readonly effects: Readonly<Record<string, number>>;
}

export interface Planned {
	/** null: nothing at all can be planned. */
	readonly input: PlanInput | null;
	/** As declared, of each planned metric. To the planning a quantile's guardrail is a goal: an improvement above 0. */
	readonly roles: readonly ("goal" | "guardrail")[];
	/** What each planned metric was assumed from. */
	readonly baselines: Readonly<Record<string, Baseline>>;
	/** What is not known, each with the flag to give. */
	readonly unknown: readonly string[];
}

/** Four whole weeks: no weekday counts more than another. */
export const PLAN_DAYS = 28;

/** A goal is planned for twice what it must prove, unless something else is believed. */
const BELIEVED_OVER_ASKED = 2;

/**
 * A challenger that is as fast as is believed has so much fewer requests above its own threshold than the baseline above
 * its quantile, as a part of these. The shape of the tail says it, and nobody knows that before: it is told as an assumption.
 */
const SLOW_LEFT = 0.5;

const DAY_MS = 86_400_000;

export function planInputOf(
	experiment: Experiment,
	metrics: Readonly<Record<string, Metric>>,
	facts: PlanFacts,
	assumed: Assumptions,
): Planned {
	const { arms, goal, guardrails, rollout } = experiment.spec;
	const unknown: string[] = [];
	if (rollout.inference.design !== "sequential")
		unknown.push(
			`what its ${rollout.inference.design} looks, the last at ${rollout.inference.units} units, can find: the goal's figures are those of the sequential test`,
		);
	const roles: ("goal" | "guardrail")[] = [];
	const baselines: Record<string, Baseline> = {};
	const claimed = [
		...guardrails.map(({ metric, margin }) => ({ name: metric, role: "guardrail" as const, effect: margin })),
		...(goal === null ? [] : [{ name: goal.metric, role: "goal" as const, effect: goal.improveBy }]),
	];
	const planned = claimed.flatMap(({ name, role, effect }): PlanMetric[] => {
		const metric = metrics[name];
		if (metric === undefined) return [];
		const baseline = facts.baselines[name] ?? assumedBaseline(metric);
		if (baseline === null) {
			const mean = methodOf({ metric, effect }) === "asympcs";
			unknown.push(
				`the level${mean ? " and spread" : ""} of ${name}: give --baseline ${name}=MEAN${mean ? ",SD" : ""}`,
			);
			return [];
		}
		const one = metricOf(name, role, effect, metric, baseline, assumed.effects[name]);
		if (typeof one === "string") {
			unknown.push(one);
			return [];
		}
		baselines[name] = baseline;
		roles.push(role);
		if (metric.spec.type === "quantile" && assumed.effects[name] === undefined)
			unknown.push(
				`how many requests of a good challenger are slower than its threshold of ${name}, so half of the baseline's are assumed: give --effect ${name}=SIZE, by how much fewer`,
			);
		else if (role === "goal" && one.effect <= one.line)
			unknown.push(`how large an improvement of ${name} is believed to be there: give --effect ${name}=SIZE`);
		return [one];
	});
	if (facts.traffic === null)
		unknown.push("how many new people come a day, so no days are told: give --traffic UNITS_PER_DAY");
	const weights = [...arms].sort((a, b) => Number(b.baseline) - Number(a.baseline)).map(({ weight }) => weight);
	const traffic =
		facts.traffic === null ? null : trafficOf(experiment, metrics, facts.traffic.newUnitsPerDay, assumed.days);
	const input = { metrics: planned, weights, alpha: rollout.alpha, power: assumed.power, traffic };
	return { input: planned.length === 0 ? null : input, roles, baselines, unknown };
}

/** Slow shares have a baseline by construction: 1 − q of the requests lie above their own q-quantile. */
function assumedBaseline({ spec }: Metric): Baseline | null {
	if (spec.type !== "quantile" || spec.quantile === null) return null;
	return { mean: 1 - spec.quantile, variance: null, from: "by construction" };
}

/** The metric as its test sees it; or what is missing. */
function metricOf(
	name: string,
	role: "goal" | "guardrail",
	effect: Effect,
	metric: Metric,
	baseline: Baseline,
	given: number | undefined,
): PlanMetric | string {
	const relative = isRelative({ metric, effect });
	const { range, type, source } = metric.spec;
	const exact = methodOf({ metric, effect }) === "bernoulli-mixture";
	// The exact test of values in a range is one of shares of the range; a share of the baseline needs no lower end.
	const ranged = exact && type === "mean" && range !== null;
	const lo = ranged && !relative ? range.lo : 0;
	const width = ranged ? range.hi - lo : 1;
	const scale = relative ? 1 : width;
	const quantile = type === "quantile" ? metric.spec.quantile : null;
	// Each arm has its own threshold, in whose distance the size lies: the line is 0.
	const size = Math.abs(lineOf({ role, effect, slowLine: 0 }, metric)) / scale;
	const byDefault = quantile !== null ? (1 - quantile) * SLOW_LEFT : role === "goal" ? BELIEVED_OVER_ASKED * size : 0;
	const believed = given === undefined ? byDefault : given / scale;
	const baselineMean = (baseline.mean - lo) / width;
	if (exact && !(baselineMean >= 0 && baselineMean <= 1))
		return `the level of ${name} is ${baseline.mean}, outside of its range: give --baseline ${name}=MEAN`;
	if (!exact && !(baseline.variance !== null && baseline.variance > 0))
		return `the spread of ${name}: give --baseline ${name}=MEAN,SD`;
	if (relative && baselineMean === 0)
		return `${name} is 0 in the baseline, and a share of 0 is nothing: give --baseline ${name}=MEAN`;
	return {
		name: ranged ? `${name} (share of its range)` : quantile !== null ? `${name} (share of slow requests)` : name,
		role: quantile !== null ? "goal" : role,
		kind: !exact ? "mean" : type === "quantile" || source === "errors" ? "failure" : "rate",
		direction: signOf(metric) === 1 ? "up" : "down",
		baselineMean,
		variance: exact ? 0 : (baseline.variance ?? 0),
		relative,
		line: size,
		effect: believed,
	};
}

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
	};
}
