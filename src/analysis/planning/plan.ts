/**
 * The plan of an experiment before or while it runs: for every metric how many units its claim needs, on which day
 * they will be there, and what can be found until the end. The numbers are those of the tests that decide; a classical
 * test that is looked at once stands beside them for comparison.
 *
 * `planOf` is all that callers need. Plain numbers in, plain numbers and one sentence per metric out; deterministic.
 */
import { PRIOR_RARE, PRIOR_RATE } from "../sequential/bernoulliMixture.js";
import { type FixedHorizonDesign, fixedUnits } from "./fixedHorizon.js";
import { metricSentence } from "./planSentence.js";
import { detectableEffect, detectableMargin, type SequentialClaim, unitsToProof } from "./sequential.js";
import { type AllocationStep, dayOfUnits, exposedUnits, type NewUnitsPerDay, stepsOf } from "./traffic.js";

export interface PlanMetric {
	readonly name: string;
	readonly role: "goal" | "guardrail";
	/**
	 * rate: values in [0, 1], such as outcomes. failure: the same where they are rare when things go well, such as errors
	 * and slow shares. mean: any values.
	 */
	readonly kind: "rate" | "failure" | "mean";
	readonly direction: "up" | "down";
	/** Mean over the baseline's units. */
	readonly baselineMean: number;
	/** Variance of one unit's value; for kind mean only. */
	readonly variance: number;
	/** Line, effect and all answers are shares of baselineMean instead of differences. */
	readonly relative: boolean;
	/** goal: the improvement to prove, ≥ 0. guardrail: the margin, > 0. */
	readonly line: number;
	/** The improvement that is believed to be there, positive is better: above the line for a goal, usually 0 for a guardrail. */
	readonly effect: number;
}

export interface PlanTraffic {
	/** Units of the service that were never seen before, by day. */
	readonly newUnitsPerDay: NewUnitsPerDay;
	/** Part of all units that the experiment may have at all: its slot of the layer, 0…1. */
	readonly slotShare: number;
	/** Allocations, 0…1, rising: rollout.steps. */
	readonly steps: readonly number[];
	/** Least days at a step, and units per arm that a step up needs. */
	readonly stepDays: number;
	readonly stepUnits: number;
	/** Days from a unit's exposure until its values count: the longest window. */
	readonly matureDays: number;
	/** The end of the plan in days. */
	readonly horizonDays: number;
}

export interface PlanInput {
	readonly metrics: readonly PlanMetric[];
	/** Declared weights of the arms, the baseline's first. */
	readonly weights: readonly number[];
	/** Error rate of the whole experiment; shared over challengers as promotions do, where every claim must be proved. */
	readonly alpha: number;
	/** Chance to find what is believed to be there, such as 0.8. */
	readonly power: number;
	/** null = units only, no days. */
	readonly traffic: PlanTraffic | null;
}

/** Units in one challenger and the baseline together, and when. null: never, on these assumptions. */
export interface PlanPoint {
	readonly units: number | null;
	/** Day on which they have been exposed and have matured; null also without traffic. */
	readonly day: number | null;
}

export interface MetricPlan {
	readonly name: string;
	readonly role: "goal" | "guardrail";
	readonly method: "bernoulli-mixture" | "asympcs";
	/** Half of the experiments have proved the claim by here, if the effect is as believed. */
	readonly median: PlanPoint;
	/** So many as `power` have. */
	readonly atPower: PlanPoint;
	/** Units of a test that is looked at once at its end, one-sided, at the same level and power. */
	readonly fixedUnits: number | null;
	/**
	 * What the units of the whole horizon find with the chance `power`: goal, the least true improvement; guardrail,
	 * the least margin if the effect is as believed. null: nothing, or no traffic.
	 */
	readonly detectable: number | null;
	/** The metric's plan for a person, one sentence. */
	readonly sentence: string;
}

export interface Plan {
	/** Level of each one-sided claim. */
	readonly alphaEach: number;
	/** Days on which the allocation reaches its steps. */
	readonly steps: readonly AllocationStep[];
	/** Units of the smallest challenger and the baseline together that mature within the horizon; null without traffic. */
	readonly horizonUnits: number | null;
	readonly metrics: readonly MetricPlan[];
	/** Day on which every claim is proved with the chance `power`, at the last step; null: not, or no traffic. */
	readonly decisionDay: number | null;
}

/** The plan for the smallest challenger, which is the last to know. RangeError for numbers that no experiment has. */
export function planOf(input: PlanInput): Plan {
	check(input);
	const { metrics, weights, alpha, power, traffic } = input;
	const [baseline = 1, ...challengers] = weights;
	const challenger = Math.min(...challengers.filter((weight) => weight > 0));
	const total = weights.reduce((sum, weight) => sum + weight, 0);
	const pairShare = (challenger + baseline) / total;
	const alphaEach = alpha / Math.max(1, challengers.length);

	const steps =
		traffic === null
			? []
			: stepsOf(
					traffic.newUnitsPerDay,
					traffic.steps.map((step) => step * traffic.slotShare),
					(traffic.stepUnits * total) / Math.min(challenger, baseline),
					traffic.stepDays,
					traffic.matureDays,
				);
	const horizonUnits =
		traffic === null
			? null
			: Math.floor(
					pairShare *
						exposedUnits(traffic.newUnitsPerDay, steps, Math.max(0, traffic.horizonDays - traffic.matureDays)),
				);
	const pointOf = (units: number | null): PlanPoint => {
		if (units === null || traffic === null) return { units, day: null };
		const day = dayOfUnits(traffic.newUnitsPerDay, steps, units / pairShare);
		return { units, day: day === null ? null : day + traffic.matureDays };
	};

	const plans = metrics.map((metric): MetricPlan => {
		const claim = claimOf(metric, alphaEach, { challenger, baseline });
		const plan = {
			name: metric.name,
			role: metric.role,
			method: claim.method.test,
			median: pointOf(unitsToProof(claim, metric.effect, 0.5)),
			atPower: pointOf(unitsToProof(claim, metric.effect, power)),
			fixedUnits: fixedUnitsOf(metric, claim, power),
			detectable: horizonUnits === null || horizonUnits < 1 ? null : detectable(metric, claim, horizonUnits, power),
		};
		return { ...plan, sentence: metricSentence(metric, plan, power, traffic?.horizonDays ?? null) };
	});
	return { alphaEach, steps, horizonUnits, metrics: plans, decisionDay: decisionDay(input, plans, steps) };
}

/** All proved, and at the last step, where alone a promotion happens. */
function decisionDay(
	{ traffic }: PlanInput,
	plans: readonly MetricPlan[],
	steps: readonly AllocationStep[],
): number | null {
	const last = steps[steps.length - 1];
	if (traffic === null || last === undefined || steps.length < traffic.steps.length) return null;
	let day = last.startDay;
	for (const { atPower } of plans) {
		if (atPower.day === null) return null;
		day = Math.max(day, atPower.day);
	}
	return day;
}

function claimOf(metric: PlanMetric, alpha: number, shares: SequentialClaim["shares"]): SequentialClaim {
	const { kind, direction, baselineMean, relative, role, line, variance } = metric;
	return {
		method:
			kind === "mean"
				? { test: "asympcs", variance }
				: { test: "bernoulli-mixture", prior: kind === "rate" ? PRIOR_RATE : PRIOR_RARE },
		direction,
		baselineMean,
		relative,
		line: role === "goal" ? line : -line,
		alpha,
		shares,
	};
}

function detectable(metric: PlanMetric, claim: SequentialClaim, units: number, power: number): number | null {
	return metric.role === "goal"
		? detectableEffect(claim, units, power)
		: detectableMargin(claim, metric.effect, units, power);
}

/** A one-sided z test of the same contrast; the baseline's noise counts (1 + line)² on a relative claim. */
function fixedUnitsOf(metric: PlanMetric, claim: SequentialClaim, power: number): number | null {
	const { baselineMean: mean, relative, direction, kind, effect } = metric;
	const sign = direction === "up" ? 1 : -1;
	const scale = relative ? Math.abs(mean) : 1;
	const slope = relative ? 1 + sign * claim.line : 1;
	const treated = mean + sign * effect * scale;
	const design: FixedHorizonDesign = {
		alpha: claim.alpha,
		sides: 1,
		varianceT: kind === "mean" ? metric.variance : treated * (1 - treated),
		varianceC: slope * slope * (kind === "mean" ? metric.variance : mean * (1 - mean)),
		shareT: claim.shares.challenger,
		shareC: claim.shares.baseline,
	};
	const units = fixedUnits(design, (effect - claim.line) * scale, power);
	// Without variance the formula says 0, which no one believes of a sample.
	return Number.isFinite(units) && units > 0 ? Math.ceil(units) : null;
}

function check({ metrics, weights, alpha, power, traffic }: PlanInput): void {
	const demand = (holds: boolean, what: string): void => {
		if (!holds) throw new RangeError(`no plan: ${what}`);
	};
	demand(alpha > 0 && alpha <= 0.5, `alpha is ${alpha}, not in (0, 0.5]`);
	demand(power > alpha && power >= 0.5 && power < 1, `power is ${power}, not in [0.5, 1)`);
	demand(weights.length >= 2 && weights.every((weight) => weight >= 0 && Number.isFinite(weight)), "weights below 0");
	demand((weights[0] ?? 0) > 0 && weights.slice(1).some((weight) => weight > 0), "an arm to compare has weight 0");
	for (const { name, kind, baselineMean, variance, line, effect } of metrics) {
		demand([baselineMean, line, effect].every(Number.isFinite), `${name} has numbers that are none`);
		if (kind === "mean") demand(variance > 0 && Number.isFinite(variance), `${name} has no variance`);
		else demand(baselineMean >= 0 && baselineMean <= 1, `${name} has mean ${baselineMean}, not a rate`);
	}
	if (traffic === null) return;
	const { newUnitsPerDay, slotShare, steps } = traffic;
	demand(newUnitsPerDay.length > 0 && newUnitsPerDay.every((units) => units >= 0), "new units per day below 0 or none");
	demand(slotShare > 0 && slotShare <= 1, `the slot is ${slotShare} of the layer`);
	demand(
		steps.length > 0 && steps.every((step, index) => step > (steps[index - 1] ?? 0) && step <= 1),
		"steps do not rise",
	);
}
