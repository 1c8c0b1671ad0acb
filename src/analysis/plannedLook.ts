/**
 * A planned look at the goal: the classical statistic and, for group-sequential designs, Lan and DeMets' boundary at
 * the information that there is. A fixed horizon is a design of one look.
 */
import type { InferenceDesign } from "../resources/resource.js";
import { aboveLine, levelsOf } from "./compareMeans.js";
import { isNoEstimate } from "./estimators/estimate.js";
import type { MetricEvidence } from "./evidence.js";
import { groupBoundaries } from "./groupSequential/boundaries.js";
import type { Question } from "./question.js";
import { unitsProblem } from "./sequential/asympEstimate.js";

export type PlannedDesign = Exclude<InferenceDesign, { readonly design: "sequential" }>;

/**
 * The normal law stands for a share from this many units with and without it in each arm (the usual rule is 5 or 10),
 * and for a mean from as many units as its confidence sequence needs.
 */
const EVENTS_MIN = 10;

/** Units of all arms at which the looks are planned, rising. */
export function plannedUnits(design: PlannedDesign): number[] {
	const looks = design.design === "fixed-horizon" ? 1 : design.looks;
	return Array.from({ length: looks }, (_, k) => Math.ceil((design.units * (k + 1)) / looks));
}

/**
 * The z that proves the goal at the last of these looks, one-sided; earlier ones were what they were. Infinite where
 * the look can decide nothing.
 */
export function boundary(design: PlannedDesign, units: readonly number[], alpha: number): number {
	const spending = { kind: design.design === "fixed-horizon" ? "obrien-fleming" : design.spending } as const;
	const information = units.map((count) => count / design.units);
	const looks = groupBoundaries({ alpha, sides: 1, spending }, information);
	return isNoEstimate(looks) ? Number.POSITIVE_INFINITY : (looks.at(-1)?.z ?? Number.POSITIVE_INFINITY);
}

/** How far above its line the goal lies, in standard errors; null where the normal law cannot be relied on. */
export function statistic(
	question: Pick<Question, "metric" | "role" | "effect" | "slowLine">,
	t: MetricEvidence,
	c: MetricEvidence,
): number | null {
	const { type } = question.metric.spec;
	// A quantile's claim is two at once, see quantileBelow(); validation refuses it here.
	if (type === "quantile") return null;
	const enough =
		type === "rate"
			? [t, c].every(({ n, mean }) => Math.min(mean, 1 - mean) * n >= EVENTS_MIN)
			: unitsProblem(t.n, c.n) === "";
	const found = enough ? levelsOf(question, t, c) : null;
	if (found === null || "note" in found) return null;
	const above = aboveLine(question, found.challenger, found.baseline);
	return isNoEstimate(above) ? null : above.value / Math.sqrt(above.variance);
}
