/** A plan as a person reads it: what it rests on, a table, one sentence for each metric, and what is not known. */
import type { MetricPlan, PlanMetric } from "../../analysis/planning/plan.js";
import type { Experiment } from "../../resources/resource.js";
import { count } from "../../rollout/plainWords.js";
import { duration, number, percent } from "../../rollout/sentence.js";
import type { Running, ToldPlan } from "./plan.js";

export function planPage(told: ToldPlan, experiment: Experiment): string {
	return `${[...head(told, experiment), ...table(told), ...ending(told)].join("\n")}\n`;
}

function head({ experiment: name, facts, running, plan, input }: ToldPlan, { spec }: Experiment): string[] {
	const challengers = spec.arms.filter((arm) => !arm.baseline).length;
	const { traffic, baselines } = facts;
	const perDay = traffic?.newUnitsPerDay ?? [];
	const some = perDay.slice(0, 4).map((units) => count(Math.round(units)));
	const level =
		plan === null || input === null
			? ""
			: `; each claim at ${number(plan.alphaEach)}, found with a chance of ${number(input.power * 100)}%`;
	return [
		`Experiment ${name} on Service ${spec.service}: ${challengers} challenger${challengers === 1 ? "" : "s"}, alpha ${number(spec.rollout.alpha)}${level}`,
		traffic === null
			? "New people a day: not known"
			: `New people a day: ${some.join(", ")}${perDay.length > some.length ? `, … (${perDay.length} days)` : ""} (${traffic.from})`,
		...Object.entries(baselines).map(
			([metric, { mean, variance, from }]) =>
				`${metric}: ${number(mean)} in the baseline${variance === null ? "" : `, spread ${number(Math.sqrt(variance))}`} (${from})`,
		),
		...(running === null
			? []
			: [`Running: ${count(running.units)} people measured so far. ${running.summary}`, `  ${expected(running)}`]),
		"",
	];
}

function expected({ expectedMs }: Running): string {
	if (expectedMs === null) return "How long it still takes cannot be said from what it has seen.";
	return `By what it has seen, about ${duration(expectedMs)} to the next verdict.`;
}

const COLUMNS = [
	"METRIC",
	"ROLE",
	"ASKED",
	"BELIEVED",
	"PEOPLE (HALF)",
	"PEOPLE (POWER)",
	"DAY",
	"ONE LOOK",
	"FOUND BY THE END",
];

function table({ plan, input, roles }: ToldPlan): string[] {
	if (plan === null || input === null) return [];
	const rows = plan.metrics.map((metric, index) => row(metric, input.metrics[index], roles[index] ?? metric.role));
	const widths = COLUMNS.map((head, column) =>
		Math.max(head.length, ...rows.map((cells) => cells[column]?.length ?? 0)),
	);
	const line = (cells: readonly string[]): string =>
		cells
			.map((cell, column) => (column < 2 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
			.join("  ")
			.trimEnd();
	return [
		...[COLUMNS, ...rows].map(line),
		"People: in the challenger and the baseline together; half: half of such experiments have proved it by then.",
		"One look: a classical test that is looked at once, at its end.",
		"",
		...plan.metrics.map(({ sentence }) => sentence),
	];
}

function row(plan: MetricPlan, metric: PlanMetric | undefined, role: MetricPlan["role"]): string[] {
	const size = (value: number | null): string => (value === null || metric === undefined ? "-" : sizeOf(metric, value));
	const units = (value: number | null): string => (value === null ? "never" : count(value));
	return [
		plan.name,
		role,
		`${plan.role === "goal" ? ">" : "-"}${size(metric?.line ?? null)}`,
		size(metric?.effect ?? null),
		units(plan.median.units),
		units(plan.atPower.units),
		plan.atPower.day === null ? "-" : day(plan.atPower.day),
		plan.fixedUnits === null ? "-" : count(plan.fixedUnits),
		size(plan.detectable),
	];
}

function sizeOf({ kind, relative }: PlanMetric, value: number): string {
	if (relative) return `${number(value * 100)}%`;
	return kind === "mean" ? number(value) : `${number(value * 100)}pp`;
}

const day = (value: number): string => String(Number(value.toFixed(1)));

function ending({ plan, input, unknown }: ToldPlan): string[] {
	const missing = unknown.map((one) => `Not known: ${one}.`);
	if (plan === null || input === null) return [...missing, "Nothing can be planned from what is known."];
	if (input.traffic === null) return ["", ...missing];
	const { horizonDays } = input.traffic;
	const shares = input.traffic.steps.map((step) => percent(Math.round(step * 1e6)));
	const steps = plan.steps.map(({ startDay }, index) => `${shares[index]} on day ${day(startDay)}`);
	const unreached = shares.length > steps.length ? `; ${shares.slice(steps.length).join(", ")} never` : "";
	const decided =
		plan.decisionDay === null
			? "Decision: not to be expected on these assumptions."
			: `Decision: on day ${day(plan.decisionDay)} every claim planned here is proved with a chance of ${number(input.power * 100)}% each${plan.decisionDay > horizonDays ? `, which is after the end on day ${day(horizonDays)}` : ""}.`;
	return ["", `Steps: ${steps.join(", ")}${unreached}.`, decided, ...missing];
}
