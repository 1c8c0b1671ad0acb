/**
 * A planned look at the goal: the classical statistic and, for group-sequential designs, Lan and DeMets' boundary at
 * the information that there is. A fixed horizon is a design of one look.
 */
import type { InferenceDesign } from "../resources/resource.js";
import { aboveLine, levelsOf } from "./compareMeans.js";
import { normalIsf } from "./distributions/normal.js";
import { isNoEstimate } from "./estimators/estimate.js";
import type { MetricEvidence } from "./evidence.js";
import type { Question } from "./question.js";
import { ASYMPCS_MIN_UNITS } from "./sequential/asympCs.js";

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
 * The z that proves the goal at each look, one-sided: alpha is shared equally over the planned looks (Bonferroni), which
 * holds however many units each has.
 */
export function boundary(design: PlannedDesign, _units: readonly number[], alpha: number): number {
	return normalIsf(alpha / plannedUnits(design).length);
}

/** How far above its line the goal lies, in standard errors; null where the normal law cannot be relied on. */
export function statistic(
	question: Pick<Question, "metric" | "role" | "effect">,
	t: MetricEvidence,
	c: MetricEvidence,
): number | null {
	const { type, range } = question.metric.spec;
	// A quantile's claim is two at once, see quantileBelow(); validation refuses it here.
	if (type === "quantile") return null;
	const enough = [t, c].every(({ n, mean }) =>
		type === "rate"
			? Math.min(mean, 1 - mean) * n >= EVENTS_MIN
			: n >= (range === null ? ASYMPCS_MIN_UNITS : EVENTS_MIN),
	);
	const found = enough ? levelsOf(question, t, c) : null;
	if (found === null || "note" in found) return null;
	const above = aboveLine(question, found.challenger, found.baseline);
	return isNoEstimate(above) ? null : above.value / Math.sqrt(above.variance);
}
