/** How an Experiment's rollout fits its goal, and what it asks for that nobody carries out. */
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

/** Shares that follow outcomes need evidence of their own (the units that are live in every arm whatever happens). */
function banditProblems({ report }: Check, experiment: Experiment): void {
	if (experiment.spec.rollout.bandit === null) return;
	const message = "bandit asks for shares that follow the outcomes, which this version does not carry out";
	report(experiment, ["spec", "rollout", "bandit"], message, "remove it: the arms keep their declared shares");
}
