/**
 * A planned look at the goal: the classical test and, for group-sequential designs, Lan and DeMets' boundary at the actual
 * information. A fixed horizon is a design with one look.
 *
 * | goal                                          | test                                                        |
 * |-----------------------------------------------|-------------------------------------------------------------|
 * | share of units (each 0 or 1)                  | score test at the line, of a difference or a ratio, corrected for skewness |
 * | mean, ratio of sums, mean of shares; by CUPED | Welch's t, of the difference or of Fieller's linear contrast |
 *
 * Boundaries are for a normal statistic. A t is converted to the z with the same p-value (Jennison &
 * Turnbull, Group Sequential Methods, 2000, section 3.8: significance levels instead of boundaries).
 */
import type { Experiment, InferenceDesign } from "../../declare/resources/resource.js";
import { levelsOf } from "./compareMeans.js";
import { normalIsfLog, normalSf } from "./distributions/normal.js";
import { logTSf, tIsf } from "./distributions/studentT.js";
import { difference, fiellerSet, liftContrast } from "./estimators/contrast.js";
import { denominatorProblem } from "./estimators/denominators.js";
import { isNoEstimate, type NoEstimate } from "./estimators/estimate.js";
import type { MetricEvidence } from "./evidence.js";
import { proportionsTest } from "./fixed/proportions.js";
import { type Alternative, type FixedTest, tTest } from "./fixed/tTest.js";
import { groupBoundaries } from "./groupSequential/boundaries.js";
import { isRatio, isRelative, lineOf, type Question, signOf } from "./question.js";
import { unitsProblem } from "./sequential/asympEstimate.js";
import { tailsProblem } from "./sequential/tails.js";

export type PlannedDesign = Exclude<InferenceDesign, { readonly design: "sequential" }>;

/**
 * Minimum of units with and without an event in each arm for the normal approximation of a share (the usual rule is 5 or 10). A
 * mean needs as many units as its confidence sequence, and none that outweighs the others; a ratio also needs enough
 * denominators.
 */
export const EVENTS_MIN = 10;

/**
 * The information of one comparison: units with a value of the goal in challenger and baseline, scaled to units of all arms by
 * the weights, as in the plan. Weights are constant during a run, so it is proportional to 1/variance of the estimate. Units
 * of other arms do not count.
 * @param pair units with a value in both arms
 */
export function informationUnits(experiment: Experiment, challenger: string, pair: number): number {
	const { own, all } = weights(experiment, challenger);
	return Math.floor(own > 0 ? (pair * all) / own : 0);
}

/** The inverse: the least units of a comparison with so much information. */
export function unitsOfInformation(experiment: Experiment, challenger: string, information: number): number {
	const { own, all } = weights(experiment, challenger);
	if (own === 0) return 0;
	// One fewer, because of rounding.
	let pair = Math.max(0, Math.ceil((information * own) / all) - 1);
	while (informationUnits(experiment, challenger, pair) < information) pair += 1;
	return pair;
}

/** Weights of the two arms of a comparison, and of all arms. */
function weights({ spec }: Experiment, challenger: string): { readonly own: number; readonly all: number } {
	const sum = (arms: Experiment["spec"]["arms"]): number => arms.reduce((total, { weight }) => total + weight, 0);
	return { own: sum(spec.arms.filter(({ name, baseline }) => baseline || name === challenger)), all: sum(spec.arms) };
}

/** Units of all arms at the planned looks, ascending. */
export function plannedUnits(design: PlannedDesign): number[] {
	const looks = design.design === "fixed-horizon" ? 1 : design.looks;
	return Array.from({ length: looks }, (_, k) => Math.ceil((design.units * (k + 1)) / looks));
}

/** The one-sided z that proves the goal at each look; infinite = the look decides nothing. */
export function boundaries(design: PlannedDesign, units: readonly number[], alpha: number): number[] {
	const spending = { kind: design.design === "fixed-horizon" ? "obrien-fleming" : design.spending } as const;
	const information = units.map((count) => count / design.units);
	const looks = groupBoundaries({ alpha, sides: 1, spending }, information);
	return isNoEstimate(looks)
		? units.map(() => Number.POSITIVE_INFINITY)
		: looks.map(({ z }) => z ?? Number.POSITIVE_INFINITY);
}

/** The boundary of the last look. */
export function boundary(design: PlannedDesign, units: readonly number[], alpha: number): number {
	return boundaries(design, units, alpha).at(-1) ?? Number.POSITIVE_INFINITY;
}

/** One look on the finding's scale, positive is better. */
export interface PlannedTest {
	readonly test: "score" | "welch";
	readonly improvement: number | null;
	/** One-sided at the given level, as if it were the only look; null = no bound. */
	readonly lower: number | null;
	/** Distance of the goal above its line in standard errors: the normal deviate with this p-value. */
	readonly z: number;
	/** One-sided, for this look only. */
	readonly pValue: number;
	/** null = normal. */
	readonly degreesOfFreedom: number | null;
}

type Goal = Pick<Question, "metric" | "role" | "effect" | "slowLine">;

/**
 * The classical test of the goal against its line, or the reason why it is not possible.
 * @param alpha the goal's; below 0.5 % the limit for heavy tails depends on it
 * @param boundAlpha level of the lower bound
 */
export function plannedTest(
	goal: Goal,
	t: MetricEvidence,
	c: MetricEvidence,
	alpha: number,
	boundAlpha = alpha,
): PlannedTest | NoEstimate {
	const { type } = goal.metric.spec;
	// A quantile's claim is two claims, see quantileBelow(); validation rejects it here.
	if (type === "quantile") return { reason: "a quantile has no planned look" };
	const few =
		type !== "rate"
			? unitsProblem(t.n, c.n)
			: [t, c].every(({ n, mean }) => Math.min(mean, 1 - mean) * n >= EVENTS_MIN)
				? ""
				: `a share needs ${EVENTS_MIN} units with and without it in each arm`;
	if (few !== "") return { reason: few };
	if (type === "rate" && isOfBits(t) && isOfBits(c)) return scoreTest(goal, t, c, boundAlpha);
	return welchTest(goal, t, c, alpha, boundAlpha);
}

/** Distance of the goal above its line in standard errors; null = the normal approximation is not valid. */
export function statistic(goal: Goal, t: MetricEvidence, c: MetricEvidence, alpha = 0.05): number | null {
	const found = plannedTest(goal, t, c, alpha);
	return isNoEstimate(found) ? null : found.z;
}

/** The part of plannedTest() that a look stores. */
export type LookKept = Pick<PlannedTest, "improvement" | "lower"> & { readonly z: number | null };

/** A look at a goal with the boundary `line`; nulls = the normal approximation is not valid. */
export function lookAt(goal: Goal, t: MetricEvidence, c: MetricEvidence, alpha: number, line: number): LookKept {
	// A look that decides nothing has an infinite boundary, and no bound.
	const left = normalSf(line);
	const found = plannedTest(goal, t, c, alpha, left > 0 ? left : alpha);
	if (isNoEstimate(found)) return { z: null, improvement: null, lower: null };
	return { z: found.z, improvement: found.improvement, lower: left > 0 ? found.lower : null };
}

/** Relative rounding error of sums over many units. */
const ROUNDING = 1e-6;

/** Whether every unit's value is 0 or 1: m2 is then n·p(1 − p), else less. */
function isOfBits({ n, mean, m2 }: MetricEvidence): boolean {
	const [bits, events] = [n * mean * (1 - mean), n * mean];
	return (
		Math.abs(m2 - bits) <= ROUNDING * bits && Math.abs(events - Math.round(events)) <= ROUNDING * Math.max(1, events)
	);
}

/** The side of the line that is better on the metric's raw scale. */
const better = (sign: 1 | -1): Alternative => (sign === 1 ? "greater" : "less");

function scoreTest(goal: Goal, t: MetricEvidence, c: MetricEvidence, alpha: number): PlannedTest | NoEstimate {
	const sign = signOf(goal.metric);
	const line = sign * lineOf(goal, goal.metric);
	const relative = isRelative(goal);
	const [challenger, baseline] = [t, c].map(({ n, mean }) => ({ n, events: Math.round(n * mean) }));
	if (challenger === undefined || baseline === undefined) return { reason: "an arm is missing" };
	const nullValue = relative ? Math.max(0, 1 + line) : line;
	const hypothesis = { alternative: better(sign), nullValue, alpha };
	const tested = proportionsTest(challenger, baseline, hypothesis, relative ? "ratio" : "difference", "corrected");
	if (isNoEstimate(tested)) return tested;
	const seen = relative ? t.mean / c.mean - 1 : t.mean - c.mean;
	const bound = boundOf(tested, sign);
	const lower = bound === null ? null : sign * (relative ? bound - 1 : bound);
	const { pValue } = tested;
	return {
		test: "score",
		improvement: 0 + sign * seen,
		lower,
		z: sign * tested.statistic,
		pValue,
		degreesOfFreedom: null,
	};
}

/** The bound on the worse side. */
function boundOf({ lower, upper }: FixedTest, sign: 1 | -1): number | null {
	return sign === 1 ? lower : upper;
}

function welchTest(
	goal: Goal,
	t: MetricEvidence,
	c: MetricEvidence,
	alpha: number,
	boundAlpha: number,
): PlannedTest | NoEstimate {
	const found = levelsOf(goal, t, c);
	if ("note" in found) return { reason: found.note };
	const { challenger, baseline } = found;
	const sign = signOf(goal.metric);
	const line = sign * lineOf(goal, goal.metric);
	const relative = isRelative(goal);
	// Linear in the levels, so as normal as they are.
	const contrast = relative ? liftContrast(challenger, baseline, line) : difference(challenger, baseline);
	if (isNoEstimate(contrast)) return contrast;
	const heavy = goal.metric.spec.type === "rate" ? "" : tailsProblem(contrast, t, c, alpha);
	if (heavy !== "") return { reason: heavy };
	const rare = isRatio(goal) ? denominatorProblem(t, c, alpha) : "";
	if (rare !== "") return { reason: rare };
	const tested = tTest(contrast, { alternative: better(sign), nullValue: relative ? 0 : line, alpha: boundAlpha });
	if (isNoEstimate(tested)) return tested;
	const { degreesOfFreedom } = contrast;
	const away = sign * tested.statistic;
	const z = Math.sign(away) * normalIsfLog(logTSf(Math.abs(away), degreesOfFreedom));
	let bound = boundOf(tested, sign);
	let seen = challenger.value - baseline.value;
	if (relative) {
		const lifts = fiellerSet(challenger, baseline, tIsf(boundAlpha, degreesOfFreedom));
		bound = isNoEstimate(lifts) || lifts.kind !== "interval" ? null : sign === 1 ? lifts.lower : lifts.upper;
		seen /= Math.abs(baseline.raw.value);
	}
	const { pValue } = tested;
	return {
		test: "welch",
		improvement: Number.isFinite(seen) ? 0 + sign * seen : null,
		lower: bound === null ? null : sign * bound,
		z: 0 + z,
		pValue,
		degreesOfFreedom: tested.degreesOfFreedom,
	};
}
