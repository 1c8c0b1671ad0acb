/** Checks an Experiment's rollout against its goal, and its fields against each other. */
import { armRegions, sharePoints } from "../../../compile/assignment/region.js";
import { allNamed, findNamed, inOrder } from "../lookup.js";
import { type Experiment, type Metric, qualifiedName, type ResourceSet } from "../resource.js";
import { settleMs } from "../settle.js";
import type { Check } from "./report.js";

export function rolloutProblems(check: Check): void {
	for (const experiment of check.set.experiments) {
		designProblems(check, experiment);
		banditProblems(check, experiment);
		holdbackProblems(check, experiment);
	}
}

/** Planned looks test one normal statistic; a quantile's claim has two. */
function designProblems({ set, report }: Check, experiment: Experiment): void {
	const { goal, rollout } = experiment.spec;
	const { design } = rollout.inference;
	if (design === "sequential") return;
	const path = ["spec", "rollout", "inference", "design"];
	if (goal === null) {
		report(
			experiment,
			path,
			`design ${design} has no goal to look at`,
			"add a goal, or remove inference: harm is sequential anyway",
		);
		return;
	}
	const { namespace } = experiment.metadata;
	const metric = findNamed(set.metrics, { name: goal.metric, namespace });
	if (metric?.spec.type !== "quantile") return;
	const message = `design ${design} looks at a goal by one statistic, and ${goal.metric} is a quantile`;
	report(experiment, path, message, "write design: sequential, or name a mean or a rate as the goal");
}

/** A holdback evaluates units first exposed in it, after their windows close, so it must be longer than these. */
function holdbackProblems({ set, report }: Check, experiment: Experiment): void {
	const { holdback } = experiment.spec.rollout;
	const last = lastToClose(set, experiment);
	if (holdback === null || last === null || holdback.forMs > last.closesMs) return;
	const wholeMs = Math.ceil(last.closesMs / 1_000) * 1_000;
	const closes = spoken(wholeMs);
	report(
		experiment,
		["spec", "rollout", "holdback", "for"],
		`a holdback of ${spoken(holdback.forMs)} measures no unit by ${qualifiedName(last.metric.metadata)}: a unit that comes in it counts after ${closes} (its window, and what it takes to arrive)`,
		`write a longer one, such as for: ${spoken(2 * wholeMs)}; who comes in its last ${closes} is not measured`,
	);
}

/** The Metric of the Experiment whose units close last, and the time from exposure to that. */
function lastToClose(
	{ services, metrics }: ResourceSet,
	{ spec, metadata: { namespace } }: Experiment,
): { readonly metric: Metric; readonly closesMs: number } | null {
	const serves = findNamed(services, { name: spec.service, namespace });
	const names = [...spec.guardrails.map(({ metric }) => metric), ...(spec.goal === null ? [] : [spec.goal.metric])];
	const named = names.flatMap((name) => allNamed(metrics, { name, namespace }));
	const [last] = inOrder(named, metrics)
		.map((metric) => {
			const { windowMs, source } = metric.spec;
			return { metric, closesMs: windowMs + settleMs(source, serves?.spec.timeoutMs ?? 0) };
		})
		.sort((a, b) => b.closesMs - a.closesMs);
	return last ?? null;
}

/** In the largest unit without a fraction. */
function spoken(ms: number): string {
	const units = [
		[86_400_000, "d"],
		[3_600_000, "h"],
		[60_000, "m"],
		[1_000, "s"],
	] as const;
	const [size, name] = units.find(([unit]) => ms % unit === 0) ?? [1, "ms"];
	return `${ms / size}${name}`;
}

/** Each arm needs one share, and tests during a bandit need a fixed design. */
function banditProblems({ set, report }: Check, experiment: Experiment): void {
	const { goal, rollout, arms } = experiment.spec;
	const { bandit, inference, holdback, stepsPpm } = rollout;
	if (bandit === null) return;
	const refuse = (message: string, hint: string, field: string | null = null): void =>
		report(experiment, ["spec", "rollout", "bandit", ...(field === null ? [] : [field])], message, hint);
	if (goal === null) refuse("bandit has no goal by which an arm is best", "add a goal, or remove bandit");
	const { namespace } = experiment.metadata;
	const metric = goal === null ? undefined : findNamed(set.metrics, { name: goal.metric, namespace });
	if (metric !== undefined && metric.spec.type !== "rate" && metric.spec.type !== "mean") {
		refuse(
			`bandit ranks arms by a rate or a mean, and ${metric.metadata.name} is a ${metric.spec.type}`,
			"name a mean or a rate as the goal, or remove bandit",
		);
	}
	if (inference.design !== "sequential") {
		refuse(
			`bandit moves shares by outcomes, and design ${inference.design} plans its units ahead`,
			"write design: sequential, or remove bandit",
		);
	}
	if (holdback !== null) {
		refuse(
			"bandit and holdback are not carried out together: a holdback compares people who are new, and a challenger's edge is full of those who come back",
			"remove one of them",
		);
	}
	const challengers = arms.filter(({ baseline, weight }) => !baseline && weight > 0).length;
	if (bandit.algorithm === "top-two" && challengers < 2) {
		refuse(
			"top-two among one challenger and the baseline gives each a half, whatever the outcomes",
			"write algorithm: thompson, or add a challenger",
		);
	}
	const core = sharePoints(stepsPpm.at(-1) ?? 0, bandit.floorPpm);
	const regions = armRegions(arms.map(({ weight }) => weight));
	for (const [index, { name, weight }] of arms.entries()) {
		const { loPpm, hiPpm } = regions[index] ?? { loPpm: 0, hiPpm: 0 };
		if (weight === 0 || sharePoints(hiPpm - loPpm, core) > 0) continue;
		const message = `floor ${bandit.floorPpm / 10_000}% leaves arm ${name} no live point`;
		refuse(message, "raise the floor, the arm's weight or the last step", "floor");
	}
}
