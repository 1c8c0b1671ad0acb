/** The plan of one metric in a sentence that a product manager understands. Integers with separators, days in tenths. */
import type { MetricPlan, PlanMetric } from "./plan.js";

/** The sentence; names what was assumed, what it needs and by when, and what the horizon can show. */
export function metricSentence(
	metric: PlanMetric,
	plan: Omit<MetricPlan, "sentence">,
	power: number,
	horizonDays: number | null,
): string {
	const size = (value: number): string => sizeOf(metric, value);
	const goal = metric.role === "goal";
	const believed = goal
		? `If ${metric.name} really improves by ${size(metric.effect)}, proving more than ${size(metric.line)}`
		: `If ${metric.name} ${metric.effect === 0 ? "really stays the same" : `really improves by ${size(metric.effect)}`}, proving that it worsens by less than ${size(metric.line)}`;
	const { units, day } = plan.atPower;
	const chance = `${Math.round(power * 100)} %`;
	const needs =
		units === null
			? `${believed} is not possible`
			: `${believed} takes ${count(units)} units in the arm and the baseline together (${chance} of the time; half of the time ${count(plan.median.units ?? units)})${day === null ? "" : `, which are there on day ${tenths(day)}`}`;
	if (horizonDays === null) return `${needs}.`;
	const late = units !== null && day === null ? ", more than this traffic ever brings" : "";
	const found =
		plan.detectable === null
			? "nothing can be shown"
			: goal
				? `an improvement of at least ${size(plan.detectable)} is found`
				: `a margin of at least ${size(plan.detectable)} can be proved`;
	return `${needs}${late}; within ${tenths(horizonDays)} days ${found}.`;
}

/** Percentage points for differences of rates, percent for shares of the baseline, the metric's unit for means. */
function sizeOf({ kind, relative }: PlanMetric, value: number): string {
	if (relative) return `${significant(value * 100)} %`;
	return kind === "mean" ? significant(value) : `${significant(value * 100)} pp`;
}

const significant = (value: number): string => String(Number(value.toPrecision(3)));
const tenths = (value: number): string => String(Number(value.toFixed(1)));

/** 12,345: no locale of the machine. */
function count(value: number): string {
	return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ",");
}
