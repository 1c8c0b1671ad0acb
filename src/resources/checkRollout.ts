/** How an Experiment's rollout fits its goal, and its parts each other. */
import { armRegions, sharePoints } from "../assignment/region.js";
import type { Check } from "./report.js";
import type { Experiment } from "./resource.js";

export function rolloutProblems(check: Check): void {
	for (const experiment of check.set.experiments) {
		designProblems(check, experiment);
		banditProblems(check, experiment);
	}
}

/** Planned looks are at a goal, by the normal law of one statistic: a quantile's claim is two at once. */
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
	const metric = set.metrics.find(
		({ metadata }) => metadata.name === goal.metric && metadata.namespace === experiment.metadata.namespace,
	);
	if (metric?.spec.type !== "quantile") return;
	const message = `design ${design} looks at a goal by one statistic, and ${goal.metric} is a quantile`;
	report(experiment, path, message, "write design: sequential, or name a mean or a rate as the goal");
}

/** Shares follow one number per arm, and what is proved meanwhile must be proved of a fixed design. */
function banditProblems({ set, report }: Check, experiment: Experiment): void {
	const { goal, rollout, arms } = experiment.spec;
	const { bandit, inference, holdback, stepsPpm } = rollout;
	if (bandit === null) return;
	const refuse = (message: string, hint: string, field: string | null = null): void =>
		report(experiment, ["spec", "rollout", "bandit", ...(field === null ? [] : [field])], message, hint);
	if (goal === null) refuse("bandit has no goal by which an arm is best", "add a goal, or remove bandit");
	const metric = set.metrics.find(
		({ metadata }) => metadata.name === goal?.metric && metadata.namespace === experiment.metadata.namespace,
	);
	if (metric !== undefined && metric.spec.type !== "rate" && metric.spec.type !== "mean") {
		refuse(
			`bandit ranks arms by a rate or a mean, and ${metric.metadata.name} is a ${metric.spec.type}`,
			"name a mean or a rate as the goal, or remove bandit",
		);
	}
	if (inference.design !== "sequential") {
		refuse(
			`bandit moves shares as outcomes say, and design ${inference.design} plans its units ahead`,
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
