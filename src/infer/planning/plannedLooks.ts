/**
 * The plan of a goal that is looked at a few times, or once: the chance to have proved it by each look, what it takes on
 * average, and what the looks can find.
 *
 * The statistic of a look is taken to be normal with mean drift·√information, information being the share of the declared
 * units, and of a share to vary as nullErrorRatio() says; the crossing probabilities are those of groupSequential/. A look that comes before its statistic can be relied on
 * (too few units of a mean, too few events) decides nothing, as in the rollout, and its part of alpha is lost. One single
 * look has the exact power of onePower.ts.
 *
 * The inflation factor R is the largest number of units ÷ that of one look with the same level and power (Jennison &
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
	/** Of all arms. */
	readonly units: number;
	/** The statistic that proves the goal; null: this look can decide nothing. */
	readonly z: number | null;
	/** Chance to have proved the goal by this look: if the effect is as believed, and if it is just on the line. */
	readonly proved: number;
	readonly provedOnLine: number;
}

/** Units are of all arms. */
export interface LooksPlan {
	readonly looks: readonly PlannedLookChance[];
	readonly by: LookPower["by"];
	/** Until it stops: at the look that proves the goal, else at the last one. */
	readonly expectedUnits: { readonly believed: number; readonly onLine: number };
	/** To declare, so that the last look has proved what is believed with the chance `power`; null: no number does. */
	readonly unitsForPower: number | null;
	/** Those ÷ the units of one look; null without them. */
	readonly inflation: number | null;
	/** The least true improvement that the declared looks prove with the chance `power`; null: none. */
	readonly detectable: number | null;
}

/** What of the experiment matters: the goal's level, its pair of arms and their part of all units. */
export interface LooksInput {
	readonly design: PlannedDesign;
	readonly alpha: number;
	readonly shares: ArmWeights;
	readonly pairShare: number;
	readonly power: number;
}

type Look = Pick<GroupLook, "information" | "z">;

/** Times that the needed units are corrected for looks that can decide by then. */
const CORRECTIONS = 5;

/** Of a number of units that is searched for. */
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

/** Boundaries as the rollout will take them, if each look comes when it is planned. */
function looksAt(metric: PlanMetric, { alpha, shares, pairShare }: LooksInput, design: PlannedDesign): Look[] {
	const units = plannedUnits(design);
	const edges = boundaries(design, units, alpha);
	return units.map((count, k) => {
		const z = edges[k] ?? Number.POSITIVE_INFINITY;
		const decides = Number.isFinite(z) && hasStatistic(metric, shares, pairShare * count);
		return { information: count / design.units, z: decides ? z : null };
	});
}

/** Boundaries in standard errors of the truth, where the looks' statistic is in those of the line. */
function inTruth(looks: readonly Look[], metric: PlanMetric, shares: ArmWeights, improvement: number): Look[] {
	const ratio = nullErrorRatio(metric, shares, improvement);
	return looks.map(({ information, z }) => ({ information, z: z === null ? null : z * ratio }));
}

/** Standard deviations by which chance may leave an arm fewer units than its part. */
const UNLUCKY = 2;

/** Whether a look at so many units of both arms, as believed, has a statistic at all. */
function hasStatistic(metric: PlanMetric, { challenger, baseline }: ArmWeights, units: number): boolean {
	const { type, covariateMs } = metric.metric.spec;
	// A ratio's linear terms have a mean and a variance as values do, and so have values less their forecast.
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

/** Mean of the last look's statistic for a true improvement, with so many units of all arms. */
function driftOf(metric: PlanMetric, { alpha, shares, pairShare }: LooksInput, improvement: number, units: number) {
	const { varianceT, varianceC, shareT, shareC } = fixedDesign(metric, alpha, shares, improvement);
	const variance = (varianceT / shareT + varianceC / shareC) * (shareT + shareC);
	return distanceOf(metric, improvement) / Math.sqrt(variance / (pairShare * units));
}

/** Chance to have proved the goal by each look. */
export function provedBy(looks: readonly Look[], drift: number): readonly number[] {
	const crossings = crossingProbabilities(looks, 1, drift);
	if ("reason" in crossings) throw new RangeError(`no plan: ${crossings.reason}`);
	let sum = 0;
	return crossings.map(({ above }) => {
		sum += above;
		return sum;
	});
}

/** Units until it stops, on average. @param proved chance by each look */
export function meanUnits(units: readonly number[], proved: readonly number[]): number {
	return units.reduce((sum, count, k) => {
		const before = proved[k - 1] ?? 0;
		const stops = k === units.length - 1 ? 1 - before : (proved[k] ?? 0) - before;
		return sum + count * stops;
	}, 0);
}

/** Far beyond any drift that a power below 1 needs. */
const DRIFT_MAX = 60;

/** Of a drift: a thousandth of a percent of the units. */
const DRIFT_TOLERANCE = 1e-5;

/** The drift with which the looks prove with the chance `power`; null where none can decide. */
export function driftForPower(looks: readonly Look[], power: number): number | null {
	if (looks.every(({ z }) => z === null)) return null;
	const excess = (drift: number): number => (provedBy(looks, drift).at(-1) ?? 0) - power;
	let hi = 4;
	while (hi < DRIFT_MAX && excess(hi) < 0) hi *= 2;
	return rootOf(excess, 0, hi, DRIFT_TOLERANCE);
}

/**
 * Which looks can decide depends on the units, which depend on which can: where that does not settle in a few rounds, as
 * with a look that has hardly enough units, the least number is searched for. null beyond PLANNED_UNITS_MAX.
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

/** What the error on the line differs by from that of the truth depends on the effect, but little: two rounds do. */
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
