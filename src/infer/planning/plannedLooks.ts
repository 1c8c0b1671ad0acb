/**
 * The plan of a goal with one or more planned looks: the power by each look, the average units and the detectable effect.
 *
 * The statistic of a look is normal with mean drift·√information, where information is the share of the declared units; for
 * a share its variance follows nullErrorRatio(). Crossing probabilities are those of groupSequential/. A look with too few
 * units or events for its statistic decides nothing, as in the rollout, and its part of alpha is lost. A single look has the
 * exact power of onePower.ts.
 *
 * The inflation factor R is the maximum of units ÷ the units of one look with the same level and power (Jennison &
 * Turnbull, Group Sequential Methods, 2000, sections 2.2 and 7.2): R = (drift ÷ (z_α + z_1−π))².
 */
import { rootOf } from "../statistics/distributions/root.js";
import { crossingProbabilities, type GroupLook } from "../statistics/groupSequential/boundaries.js";
import { boundaries, type PlannedDesign, plannedUnits, statistic } from "../statistics/plannedLook.js";
import { NO_MOMENTS } from "../statistics/statistics/moments.js";
import { type LookPower, onePower } from "./onePower.js";
import {
	boundsOf,
	distanceOf,
	fixedDesign,
	isPossible,
	nullErrorRatio,
	oneLookUnits,
	type PlanMetric,
	planLine,
	treatedMean,
} from "./planMetric.js";
import { type ArmWeights, leastProved, PLANNED_UNITS_MAX } from "./sequential.js";

export interface PlannedLookChance {
	/** Units in all arms. */
	readonly units: number;
	/** The statistic that proves the goal; null = this look decides nothing. */
	readonly z: number | null;
	/** Probability to have proved the goal by this look: with the assumed effect, and with an effect on the line. */
	readonly proved: number;
	readonly provedOnLine: number;
}

/** Units are of all arms. */
export interface LooksPlan {
	readonly looks: readonly PlannedLookChance[];
	readonly by: LookPower["by"];
	/** Average until the look that proves the goal, else the last one. */
	readonly expectedUnits: { readonly believed: number; readonly onLine: number };
	/** Units to declare for the power at the assumed effect; null = impossible. */
	readonly unitsForPower: number | null;
	/** `needed` units ÷ the units of one look; null = unknown. */
	readonly inflation: number | null;
	/** The least true improvement that the declared looks detect with probability `power`; null = none. */
	readonly detectable: number | null;
}

/** The goal's level, its pair of arms and their share of all units. */
export interface LooksInput {
	readonly design: PlannedDesign;
	readonly alpha: number;
	readonly shares: ArmWeights;
	readonly pairShare: number;
	readonly power: number;
}

type Look = Pick<GroupLook, "information" | "z">;

/** Maximum of rounds to correct the needed units for looks that cannot decide. */
const CORRECTIONS = 5;

/** Relative precision of a search for units. */
const UNITS_PRECISION = 1e-3;

export function looksPlan(metric: PlanMetric, input: LooksInput): LooksPlan {
	const { design, alpha, shares, pairShare, power } = input;
	const { believed } = metric;
	const units = plannedUnits(design);
	const looks = looksAt(metric, input, design);
	const drift = driftOf(metric, input, believed, design.units);
	const [found, none] = [provedBy(inTruth(looks, metric, shares, believed), drift), provedBy(looks, 0)];
	const z = looks.at(-1)?.z ?? null;
	const exact: LookPower | null =
		looks.length > 1 || z === null ? null : onePower(metric, { alpha, z }, shares, pairShare * design.units);
	const chances = looks.map((look, k): PlannedLookChance => {
		const [proved = 0, provedOnLine = 0] = [exact?.power ?? found[k], none[k]];
		return { units: units[k] ?? design.units, z: look.z, proved, provedOnLine };
	});
	const unitsForPower = neededUnits(metric, input);
	const one = oneLookUnits(metric, alpha, shares, power);
	return {
		looks: chances,
		by: exact?.by ?? "normal law",
		expectedUnits: { believed: meanUnits(units, found), onLine: meanUnits(units, none) },
		unitsForPower,
		inflation: unitsForPower === null || one === null ? null : (unitsForPower * pairShare) / one,
		detectable: detectable(metric, input, looks),
	};
}

/** The rollout's boundaries if each look comes at its planned information. */
function looksAt(metric: PlanMetric, { alpha, shares, pairShare }: LooksInput, design: PlannedDesign): Look[] {
	const units = plannedUnits(design);
	const edges = boundaries(design, units, alpha);
	return units.map((count, k) => {
		const z = edges[k] ?? Number.POSITIVE_INFINITY;
		const decides = Number.isFinite(z) && hasStatistic(metric, shares, pairShare * count);
		return { information: count / design.units, z: decides ? z : null };
	});
}

/** Converts boundaries from standard errors of the null to the true ones. */
function inTruth(looks: readonly Look[], metric: PlanMetric, shares: ArmWeights, improvement: number): Look[] {
	const ratio = nullErrorRatio(metric, shares, improvement);
	return looks.map(({ information, z }) => ({ information, z: z === null ? null : z * ratio }));
}

/** Margin, in standard deviations, for an arm with fewer units than its share. */
const UNLUCKY = 2;

/** Whether a look at so many units of both arms has a usable statistic under the assumptions. */
function hasStatistic(metric: PlanMetric, { challenger, baseline }: ArmWeights, units: number): boolean {
	const { type, covariateMs } = metric.metric.spec;
	// The linear terms of a ratio, and values minus their forecast, have a mean and a variance as plain values do.
	const spec = { ...metric.metric.spec, type: type === "rate" ? type : "mean", covariateMs: null } as const;
	const plain = covariateMs === null && type !== "ratio" ? metric : { ...metric, metric: { ...metric.metric, spec } };
	const treated = treatedMean(metric, metric.believed);
	const { lo, hi } = boundsOf(metric) ?? { lo: treated, hi: treated };
	const sample = (weight: number, mean: number) => {
		const part = weight / (challenger + baseline);
		const n = Math.round(units * part - UNLUCKY * Math.sqrt(units * part * (1 - part)));
		if (!(n > 0)) return NO_MOMENTS;
		const { farthest } = metric;
		const extremes = farthest === undefined ? {} : { extremes: [{ lo: mean - farthest, hi: mean + farthest }] };
		if (type !== "rate") return { n, mean, m2: (metric.variance ?? (hi - mean) * (mean - lo)) * n, ...extremes };
		const share = Math.round(n * mean) / n;
		return { n, mean: share, m2: n * share * (1 - share) };
	};
	const challengers = sample(challenger, Math.min(hi, Math.max(lo, treated)));
	return statistic(plain, challengers, sample(baseline, metric.baselineMean)) !== null;
}

/** Expected statistic of the last look for a true improvement, with so many units of all arms. */
function driftOf(metric: PlanMetric, { alpha, shares, pairShare }: LooksInput, improvement: number, units: number) {
	const { varianceT, varianceC, shareT, shareC } = fixedDesign(metric, alpha, shares, improvement);
	const variance = (varianceT / shareT + varianceC / shareC) * (shareT + shareC);
	return distanceOf(metric, improvement) / Math.sqrt(variance / (pairShare * units));
}

/** Probability to have proved the goal by each look. */
export function provedBy(looks: readonly Look[], drift: number): readonly number[] {
	const crossings = crossingProbabilities(looks, 1, drift);
	if ("reason" in crossings) throw new RangeError(`no plan: ${crossings.reason}`);
	let sum = 0;
	return crossings.map(({ above }) => {
		sum += above;
		return sum;
	});
}

/** Average units until the stop. @param proved probability by each look */
export function meanUnits(units: readonly number[], proved: readonly number[]): number {
	return units.reduce((sum, count, k) => {
		const before = proved[k - 1] ?? 0;
		const stops = k === units.length - 1 ? 1 - before : (proved[k] ?? 0) - before;
		return sum + count * stops;
	}, 0);
}

/** Above any drift for a power below 1. */
const DRIFT_MAX = 60;

/** Precision of a drift: 0.001 % of the units. */
const DRIFT_TOLERANCE = 1e-5;

/** The drift for the power; null = no look can decide. */
export function driftForPower(looks: readonly Look[], power: number): number | null {
	if (looks.every(({ z }) => z === null)) return null;
	const excess = (drift: number): number => (provedBy(looks, drift).at(-1) ?? 0) - power;
	let hi = 4;
	while (hi < DRIFT_MAX && excess(hi) < 0) hi *= 2;
	return rootOf(excess, 0, hi, DRIFT_TOLERANCE);
}

/**
 * The usable looks depend on the units and the reverse. If this does not converge in a few rounds, the least number of units
 * is searched for. null = above PLANNED_UNITS_MAX.
 */
function neededUnits(metric: PlanMetric, input: LooksInput): number | null {
	const { design, alpha, shares, pairShare, power } = input;
	const one = oneLookUnits(metric, alpha, shares, power);
	if (one === null) return null;
	const least = Math.max(2, Math.ceil(one / pairShare));
	const looksWith = (units: number): Look[] =>
		inTruth(looksAt(metric, input, { ...design, units }), metric, shares, metric.believed);
	let units = least;
	let [drift, known]: [number | null, string] = [null, ""];
	for (let round = 0; round < CORRECTIONS; round++) {
		const looks = looksWith(units);
		const which = looks.map(({ z }) => (z === null ? 0 : 1)).join("");
		if (which !== known) drift = driftForPower(looks, power);
		if (drift === null) break;
		known = which;
		const next = Math.ceil(units * (drift / driftOf(metric, input, metric.believed, units)) ** 2);
		if (Math.abs(next - units) <= 1) return Math.max(next, units);
		units = next;
	}
	const enough = (count: number): boolean =>
		(provedBy(looksWith(count), driftOf(metric, input, metric.believed, count)).at(-1) ?? 0) >= power;
	let [lo, hi] = [least - 1, least];
	while (!enough(hi)) {
		[lo, hi] = [hi, 2 * hi];
		if (hi * pairShare > PLANNED_UNITS_MAX) return null;
	}
	while (hi - lo > Math.max(1, UNITS_PRECISION * hi)) {
		const middle = Math.floor((lo + hi) / 2);
		if (enough(middle)) hi = middle;
		else lo = middle;
	}
	return hi;
}

/** The ratio of the errors depends little on the effect: two rounds are enough. */
function detectable(metric: PlanMetric, input: LooksInput, looks: readonly Look[]): number | null {
	const { shares, power, design } = input;
	const foundBy = (assumed: number): number | null => {
		const drift = driftForPower(inTruth(looks, metric, shares, assumed), power);
		if (drift === null) return null;
		return leastProved(
			planLine(metric),
			null,
			(improvement) => isPossible(metric, improvement) && driftOf(metric, input, improvement, design.units) >= drift,
		);
	};
	const first = foundBy(metric.believed);
	return first === null || metric.metric.spec.type !== "rate" ? first : foundBy(first);
}
