/**
 * The plan of an experiment before or while it runs: for each claim the units that it needs, the day when they are there, and
 * the minimum detectable effect. It uses the tests that decide, by the declared design: guardrails, and the goal of a
 * sequential design, may be proved at any time; the goal of a design with planned looks only at these. A fixed-horizon test
 * is included for comparison.
 *
 * Use `planOf`. Deterministic.
 */
import type { InferenceDesign } from "../../declare/resources/resource.js";
import { methodOf } from "../statistics/question.js";
import type { ClaimPlan, DatedLook, PlanPoint } from "./claimPlan.js";
import { boundsOf, oneLookUnits, type PlanMetric, sequentialClaim } from "./planMetric.js";
import { type LooksPlan, looksPlan } from "./plannedLooks.js";
import { claimSentence } from "./planSentence.js";
import { type ArmWeights, detectableEffect, detectableMargin, unitsToProof } from "./sequential.js";
import { type AllocationStep, type Core, countedUnits, dayWhen, type NewUnitsPerDay, stepsOf } from "./traffic.js";

export interface PlanTraffic {
	/** New units of the Service by day. */
	readonly newUnitsPerDay: NewUnitsPerDay;
	/** The experiment's slot of the layer as a share of all units, 0…1. */
	readonly slotShare: number;
	/** Allocations, 0…1, ascending: rollout.steps. */
	readonly steps: readonly number[];
	/** Minimum days at a step, and units per arm for the next step. */
	readonly stepDays: number;
	readonly stepUnits: number;
	/** Days from a unit's exposure until it matures: the longest window. */
	readonly matureDays: number;
	/** The end of the plan in days. */
	readonly horizonDays: number;
	/** For a bandit: the core's share of the last allocation, and days until shares may move. */
	readonly core: { readonly share: number; readonly days: number } | null;
}

export interface PlanInput {
	readonly metrics: readonly PlanMetric[];
	/** How the goal is tested. */
	readonly design: InferenceDesign;
	/** Declared weights of the arms, the baseline's first. */
	readonly weights: readonly number[];
	/** Error rate of the whole experiment, divided among challengers as for promotions. */
	readonly alpha: number;
	/** E.g. 0.8. */
	readonly power: number;
	/** null = units only, no days. */
	readonly traffic: PlanTraffic | null;
}

export interface Plan {
	/** Level of each one-sided claim. */
	readonly alphaEach: number;
	/** Day when the allocation reaches each step. */
	readonly steps: readonly AllocationStep[];
	/** Day when a bandit may first move shares, so that only its core counts; null = none, or not reached. */
	readonly coreFromDay: number | null;
	/** Units of the smallest challenger and the baseline together that mature within the horizon; null = no traffic. */
	readonly horizonUnits: number | null;
	readonly metrics: readonly ClaimPlan[];
	/** Day when every claim is proved with probability `power`, at the last step; null = never, or no traffic. */
	readonly decisionDay: number | null;
}

/** The planned pair of arms and its traffic. */
interface Pair {
	readonly shares: ArmWeights;
	/** The pair's share of all units. */
	readonly share: number;
	readonly alpha: number;
	readonly horizonUnits: number | null;
	/** Day when so many units of all arms count; null = never, or no traffic. */
	readonly dayOf: (units: number) => number | null;
}

/** The plan for the smallest challenger, which takes longest. @throws RangeError for impossible numbers */
export function planOf(input: PlanInput): Plan {
	check(input);
	const { metrics, weights, alpha, traffic } = input;
	const [baseline = 1, ...challengers] = weights;
	const challenger = Math.min(...challengers.filter((weight) => weight > 0));
	const total = weights.reduce((sum, weight) => sum + weight, 0);
	const share = (challenger + baseline) / total;
	const smallest = Math.min(challenger, baseline) / total;
	const steps = traffic === null ? [] : stepsIn(traffic, traffic.stepUnits / smallest);
	const core = traffic === null ? null : coreOf(traffic, steps, traffic.stepUnits / smallest);
	const counted = (day: number): number =>
		traffic === null ? 0 : countedUnits(traffic.newUnitsPerDay, steps, day, traffic.matureDays, core);
	const pair: Pair = {
		shares: { challenger, baseline },
		share,
		alpha: alpha / Math.max(1, challengers.length),
		horizonUnits: traffic === null ? null : Math.floor(share * counted(traffic.horizonDays)),
		dayOf: (units) => (traffic === null ? null : dayWhen(counted, units)),
	};
	const plans = metrics.map((metric) => claimPlan(metric, input, pair));
	return {
		alphaEach: pair.alpha,
		steps,
		coreFromDay: core?.fromDay ?? null,
		horizonUnits: pair.horizonUnits,
		metrics: plans,
		decisionDay: decisionDay(input, plans, steps),
	};
}

function stepsIn(traffic: PlanTraffic, units: number): readonly AllocationStep[] {
	const { newUnitsPerDay, steps, slotShare, stepDays, matureDays } = traffic;
	return stepsOf(
		newUnitsPerDay,
		steps.map((step) => step * slotShare),
		units,
		stepDays,
		matureDays,
	);
}

/** Assumes that shares move as early as possible: at the last step, with the units of a step. */
function coreOf(traffic: PlanTraffic, steps: readonly AllocationStep[], units: number): Core | null {
	const last = steps.at(-1);
	if (traffic.core === null || last === undefined || steps.length < traffic.steps.length) return null;
	const { newUnitsPerDay, matureDays, core } = traffic;
	const enough = dayWhen((day) => countedUnits(newUnitsPerDay, steps, day, matureDays, null), units);
	if (enough === null) return null;
	return { share: core.share * last.share, fromDay: Math.max(last.startDay + core.days, enough) };
}

function claimPlan(metric: PlanMetric, input: PlanInput, pair: Pair): ClaimPlan {
	const { design, power, traffic } = input;
	const { name, role } = metric;
	const fixed = oneLookUnits(metric, pair.alpha, pair.shares, power);
	const planned =
		design.design === "sequential" || role !== "goal" || metric.metric.spec.type === "quantile"
			? sequentialPlan(metric, power, pair)
			: plannedPlan(looksPlan(metric, { design, ...pair, pairShare: pair.share, power }), power, pair);
	const plan = { name, role, ...planned, fixedUnits: fixed };
	return { ...plan, sentence: claimSentence(metric, plan, { power, design, trafficKnown: traffic !== null }) };
}

type Planned = Pick<ClaimPlan, "method" | "median" | "atPower" | "detectable" | "looks">;

function sequentialPlan(metric: PlanMetric, power: number, pair: Pair): Planned {
	const claim = sequentialClaim(metric, pair.alpha, pair.shares);
	const pointOf = (units: number | null): PlanPoint => ({
		units,
		day: units === null ? null : pair.dayOf(units / pair.share),
	});
	const { horizonUnits } = pair;
	const margin = metric.role === "guardrail" && metric.metric.spec.type !== "quantile";
	let detectable: number | null = null;
	if (horizonUnits !== null && horizonUnits >= 1)
		detectable = margin
			? detectableMargin(claim, metric.believed, horizonUnits, power)
			: detectableEffect(claim, horizonUnits, power);
	return {
		method: claim.method.test === "betting" ? "betting" : methodOf(metric),
		median: pointOf(unitsToProof(claim, metric.believed, 0.5)),
		atPower: pointOf(unitsToProof(claim, metric.believed, power)),
		detectable,
		looks: null,
	};
}

function plannedPlan(plan: LooksPlan, power: number, pair: Pair): Planned {
	const looks = plan.looks.map((look): DatedLook => ({ ...look, day: pair.dayOf(look.units) }));
	const pointOf = (chance: number): PlanPoint => {
		const look = looks.find(({ proved }) => proved >= chance);
		return { units: look === undefined ? null : Math.round(look.units * pair.share), day: look?.day ?? null };
	};
	return {
		method: "planned-looks",
		median: pointOf(0.5),
		atPower: pointOf(power),
		detectable: plan.detectable,
		looks: { ...plan, looks },
	};
}

/** All claims proved, and at the last step, which a promotion needs. */
function decisionDay(
	{ traffic }: PlanInput,
	plans: readonly ClaimPlan[],
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

function check({ metrics, weights, alpha, power, traffic }: PlanInput): void {
	const demand = (holds: boolean, what: string): void => {
		if (!holds) throw new RangeError(`no plan: ${what}`);
	};
	demand(alpha > 0 && alpha <= 0.5, `alpha is ${alpha}, not in (0, 0.5]`);
	demand(power > alpha && power >= 0.5 && power < 1, `power is ${power}, not in [0.5, 1)`);
	demand(weights.length >= 2 && weights.every((weight) => weight >= 0 && Number.isFinite(weight)), "weights below 0");
	demand((weights[0] ?? 0) > 0 && weights.slice(1).some((weight) => weight > 0), "an arm to compare has weight 0");
	for (const metric of metrics) {
		const { name, baselineMean, variance, effect, believed } = metric;
		demand([baselineMean, effect.value, believed].every(Number.isFinite), `${name} has numbers that are none`);
		const bounds = boundsOf(metric);
		if (bounds === null)
			demand(variance !== null && variance > 0 && Number.isFinite(variance), `${name} has no variance`);
		else {
			const { lo, hi } = bounds;
			demand(baselineMean >= lo && baselineMean <= hi, `${name} has mean ${baselineMean}, outside of its range`);
		}
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
