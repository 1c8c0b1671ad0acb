/** A plan as a person reads it: what it rests on, a table, one sentence for each metric, and what is not known. */

import type { PlanEvidence } from "../../decide/rollout/planEvidence.js";
import type { Planned } from "../../decide/rollout/planInput.js";
import { duration, number, percent } from "../../decide/rollout/sentence.js";
import { count } from "../../decide/rollout/summary.js";
import type { Experiment, InferenceDesign } from "../../declare/resources/resource.js";
import type { ClaimPlan } from "../../infer/planning/claimPlan.js";
import type { Plan, PlanInput } from "../../infer/planning/plan.js";
import type { PlanMetric } from "../../infer/planning/planMetric.js";
import { cells, chance, isShare, levelOf } from "../../infer/planning/planText.js";

/** What `weir plan --json` prints. */
export interface ReportedPlan {
	/** Qualified name. */
	readonly experiment: string;
	readonly facts: { readonly traffic: PlanEvidence["traffic"]; readonly baselines: Planned["baselines"] };
	readonly input: PlanInput | null;
	/** null: nothing can be planned from what is known. */
	readonly plan: Plan | null;
	/** What is not known, each with the flag to give. */
	readonly unknown: readonly string[];
	/** While it runs. */
	readonly running: Running | null;
}

export interface Running {
	/** With a window that has closed, over all arms. */
	readonly units: number;
	readonly summary: string;
	/** The rollout's own estimate, from what it has seen; null = unknown. */
	readonly expectedMs: number | null;
}

export function planPage(report: ReportedPlan, experiment: Experiment): string {
	return `${[...head(report, experiment), ...claims(report), ...ending(report)].join("\n")}\n`;
}

function head({ experiment: name, facts, running, plan, input }: ReportedPlan, { spec }: Experiment): string[] {
	const challengers = spec.arms.filter((arm) => !arm.baseline).length;
	const { traffic, baselines } = facts;
	const perDay = traffic?.newUnitsPerDay ?? [];
	const some = perDay.slice(0, 4).map((units) => count(Math.round(units)));
	const level =
		plan === null || input === null
			? ""
			: `; each claim is tested at alpha ${number(plan.alphaEach)} with power ${number(input.power * 100)}%`;
	const { inference } = spec.rollout;
	return [
		`Experiment ${name} on Service ${spec.service}: ${challengers} challenger${challengers === 1 ? "" : "s"}, alpha ${number(spec.rollout.alpha)}${level}`,
		...(inference.design === "sequential" || spec.goal === null
			? []
			: [`The goal is tested ${designOf(inference)}; guardrails are tested continuously`]),
		traffic === null
			? "New people a day: unknown"
			: `New people a day: ${some.join(", ")}${perDay.length > some.length ? `, … (${perDay.length} days)` : ""} (${traffic.from})`,
		...(input?.metrics ?? []).map(
			(metric) => `${metric.name}: ${levelIn(metric)} (${baselines[metric.name]?.from ?? ""})`,
		),
		...(running === null
			? []
			: [`Running: ${count(running.units)} people measured so far. ${running.summary}`, ...expected(running)]),
		"",
	];
}

/** `78% in the baseline`, `12 in the baseline, spread 30`. */
function levelIn(metric: PlanMetric): string {
	const level = levelOf(metric, metric.baselineMean);
	if (metric.metric.spec.type === "quantile") return `${level} of the baseline's requests are slower than its own`;
	const { variance } = metric;
	const spread = variance === null || isShare(metric) ? "" : `, spread ${levelOf(metric, Math.sqrt(variance))}`;
	return `${level} in the baseline${spread}`;
}

function designOf(design: Exclude<InferenceDesign, { readonly design: "sequential" }>): string {
	const end = `${count(design.units)} matured people of all arms`;
	if (design.design === "fixed-horizon") return `once, at ${end}`;
	const spending = design.spending === "pocock" ? "Pocock" : "O'Brien-Fleming";
	return `at ${design.looks} looks up to ${end}, with ${spending} alpha spending`;
}

function expected({ expectedMs }: Running): string[] {
	return expectedMs === null ? [] : [`  At the present pace about ${duration(expectedMs)} more.`];
}

const LOOK_COLUMNS = ["LOOK", "PEOPLE (ALL ARMS)", "DAY", "Z", "PROVED BY THEN", "IF AT TARGET"];

/** The first `left` columns begin, the others end under their heads. */
function table(heads: readonly string[], rows: readonly (readonly string[])[], left: number): string[] {
	const widths = heads.map((head, column) => Math.max(head.length, ...rows.map((row) => row[column]?.length ?? 0)));
	return [heads, ...rows].map((row) =>
		row
			.map((cell, column) => (column < left ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
			.join("  ")
			.trimEnd(),
	);
}

function claims({ plan, input }: ReportedPlan): string[] {
	if (plan === null || input === null) return [];
	const planned = plan.metrics.find(({ looks }) => looks !== null);
	const people = `PEOPLE (${number(input.power * 100)}%)`;
	const rows = plan.metrics.flatMap((claim, index) => {
		const metric = input.metrics[index];
		return metric === undefined ? [] : [row(claim, metric)];
	});
	return [
		...table(["METRIC", "ROLE", "TARGET", "ASSUMED", "PEOPLE (50%)", people, "DAY", "ONE LOOK", "DETECTABLE"], rows, 2),
		"TARGET: what must be proved. ASSUMED: the true effect that the plan assumes.",
		"PEOPLE: challenger and baseline together, to prove the target with this probability. DAY: when the last of them is measured.",
		"ONE LOOK: people for a classical test with a single look. DETECTABLE: the smallest effect proved by the end of the plan.",
		...(planned === undefined ? [] : ["", ...looks(planned)]),
		"",
		...plan.metrics.map(({ sentence }) => sentence),
	];
}

function row(claim: ClaimPlan, metric: PlanMetric): string[] {
	const units = (value: number | null): string => (value === null ? "never" : count(value));
	const [asked, believed, found] = cells(metric, claim.detectable);
	return [
		claim.name,
		claim.role,
		asked,
		believed,
		units(claim.median.units),
		units(claim.atPower.units),
		claim.atPower.day === null ? "-" : day(claim.atPower.day),
		claim.fixedUnits === null ? "-" : count(claim.fixedUnits),
		found,
	];
}

/** The planned looks of the goal. */
function looks({ name, looks: planned }: ClaimPlan): string[] {
	if (planned === null) return [];
	const rows = planned.looks.map(({ units, z, proved, provedOnLine, day: at }, index) => [
		String(index + 1),
		count(units),
		at === null ? "-" : day(at),
		z === null ? "too few" : number(z),
		chance(proved),
		chance(provedOnLine),
	]);
	return [
		...table(LOOK_COLUMNS, rows, 1),
		`Z: distance from the target, in standard errors, that ${name} needs at this look.`,
		`PROVED BY THEN: probability with the assumed effect. IF AT TARGET: with a true effect equal to the target. From ${LAWS[planned.by]}.`,
		`PEOPLE (ALL ARMS): people with a value of ${name}, not of closed arms. A look waits until there are enough.`,
	];
}

const LAWS = {
	counts: "exact counts",
	"noncentral t": "the noncentral t distribution",
	"normal law": "the normal distribution",
} as const;

const day = (value: number): string => String(Number(value.toFixed(1)));

function ending({ plan, input, unknown }: ReportedPlan): string[] {
	const missing = unknown.map((one) => `Unknown: ${one}.`);
	if (plan === null || input === null) return [...missing, "Nothing can be planned from what is known."];
	if (input.traffic === null) return missing.length === 0 ? [] : ["", ...missing];
	const { horizonDays, core } = input.traffic;
	const shares = input.traffic.steps.map((step) => percent(Math.round(step * 1e6)));
	const steps = plan.steps.map(({ startDay }, index) => `${shares[index]} on day ${day(startDay)}`);
	const unreached = shares.length > steps.length ? `; ${shares.slice(steps.length).join(", ")} never` : "";
	const bandit =
		core === null
			? []
			: [
					plan.coreFromDay === null
						? "Bandit: shares never move."
						: `Bandit: shares may move from day ${day(plan.coreFromDay)} on. From then on only ${percent(Math.round(core.share * 1e6))} of each arm's people count (the floor); the days here are as if they moved at once.`,
				];
	return [
		"",
		`Steps: ${steps.join(", ")}${unreached}.`,
		...bandit,
		decided(plan, input.power, horizonDays),
		...missing,
	];
}

function decided({ decisionDay, metrics }: Plan, power: number, horizonDays: number): string {
	const found = `with ${number(power * 100)}% probability`;
	if (decisionDay === null) {
		const open = metrics.filter(({ atPower }) => atPower.day === null).map(({ name }) => name);
		return `Decision: not to be expected ${found}${open.length === 0 ? "" : `, because of ${open.join(", ")}`}.`;
	}
	const late = decisionDay > horizonDays ? `, which is after the end on day ${day(horizonDays)}` : "";
	return `Decision: on day ${day(decisionDay)} every claim planned here is proved ${found} each${together(metrics.length, power)}${late}.`;
}

/** Power of one challenger's claims together, however they depend on each other (Bonferroni); empty without a bound. */
function together(claims: number, power: number): string {
	const least = 1 - claims * (1 - power);
	return claims < 2 || !(least > 0) ? "" : `, all ${claims} of one challenger together of ${chance(least)} or more`;
}
