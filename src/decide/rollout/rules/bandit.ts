/**
 * A bandit's shares: the live share of each arm's allocation follows its probability to be best by the goal's metric
 * (infer/statistics/bandit/allocation.ts).
 *
 * Only at the last step: until then all arms must ramp equally, or the points that a step adds would be new in one arm and
 * known in another, and the comparison unfair. So the proof has a fixed design: all units until the first move, then the core.
 */
import { banditShares } from "../../../infer/statistics/bandit/allocation.js";
import {
	type ArmPosteriors,
	betaPosterior,
	gaussianPosterior,
	PRIOR_UNIFORM,
} from "../../../infer/statistics/bayes/posterior.js";
import type { DecisionInput } from "../decision.js";
import { outcomeOf, type RuleFunction } from "../outcome.js";
import { scarcest } from "../scarcest.js";
import { number, percent } from "../sentence.js";
import { liveSharePpm } from "../status.js";
import { count } from "../summary.js";

export const bandit: RuleFunction = (input, analysis) => {
	const { experiment, metrics, status, nowMs } = input;
	const { goal, rollout, arms } = experiment.spec;
	const { bandit: asked, stepsPpm, minUnits } = rollout;
	const metric = goal === null ? undefined : metrics[goal.metric];
	if (asked === null || goal === null || metric === undefined) return null;
	if (status.stepIndex + 1 < stepsPpm.length || scarcest(input).units < minUnits) return null;
	if (nowMs - (status.shares?.movedAtMs ?? status.stepStartedAtMs) < asked.everyMs) return null;
	const posteriors = posteriorsOf(input, goal.metric);
	if (posteriors === null) return null;
	const now = arms.map(({ name }) => liveSharePpm(name, status));
	const { sharesPpm, ranking } = banditShares(
		arms.map(({ name, weight, baseline }, index) => ({
			weight,
			baseline,
			closed: status.closedArms.includes(name),
			units: unitsOf(input, name, goal.metric),
			sharePpm: now[index] ?? 0,
		})),
		posteriors,
		{ algorithm: asked.algorithm, direction: metric.spec.direction, floorPpm: asked.floorPpm, minUnits },
	);
	const open = arms.flatMap(({ name, baseline, weight }, index) =>
		status.closedArms.includes(name) || weight === 0
			? []
			: [{ name, baseline, from: now[index] ?? 0, to: sharesPpm[index] ?? 0, best: ranking?.best[index] ?? 0 }],
	);
	const moved = open.filter(({ from, to }) => from !== to);
	if (ranking === null || moved.length === 0) return null;
	const units = arms.reduce((sum, { name }) => sum + unitsOf(input, name, goal.metric), 0);
	const chances = open.map(({ name, best }) => `${name} ${number(best)}`).join(", ");
	const list = (each: (one: (typeof moved)[number]) => string): string => moved.map(each).join(", ");
	const ppm = Object.fromEntries(arms.map(({ name }, index) => [name, sharesPpm[index] ?? 0]));
	return outcomeOf(
		input,
		analysis,
		["reallocate", "bandit"],
		{
			reason: `Shares of the ${percent(status.allocationPpm)} moved: ${list(({ name, from, to }) => `${name} from ${percent(from)} to ${percent(to)}`)} of its region; chance to be best by ${goal.metric} over ${units} units: ${chances}${first(input)}.`,
			summary: `${list(({ name, from, to }) => `${name} is now shown to ${to > from ? "more" : "fewer"} people, ${percent(to)} of its full share`)}: among ${count(units)} people the chance to be best by ${goal.metric} is ${open.map(({ name, best }) => `${Math.round(best * 100)}% for ${name}`).join(", ")}.`,
		},
		{
			status: {
				...status,
				shares: { ppm, firstMovedAtMs: status.shares?.firstMovedAtMs ?? nowMs, movedAtMs: nowMs },
			},
		},
	);
};

/** The end of the first move's sentence. */
function first({ status, experiment }: DecisionInput): string {
	if (status.shares !== undefined) return "";
	const floor = percent(experiment.spec.rollout.bandit?.floorPpm ?? 0);
	return `; from here on only units of the core count, the first ${floor} of each arm's live points`;
}

function unitsOf({ evidence }: DecisionInput, arm: string, metric: string): number {
	return evidence.arms.find((one) => one.arm === arm)?.metrics[metric]?.n ?? 0;
}

/** By arm in declared order; null = an arm has no data, or the goal has no posterior. */
function posteriorsOf({ experiment, metrics, status, evidence }: DecisionInput, goal: string): ArmPosteriors | null {
	const { type } = metrics[goal]?.spec ?? {};
	const moments = experiment.spec.arms.map(({ name, weight }) => {
		const found = evidence.arms.find((one) => one.arm === name)?.metrics[goal];
		// A placeholder: these arms are not ranked.
		const outside = weight === 0 || status.closedArms.includes(name);
		return found ?? (outside ? NO_UNITS : null);
	});
	if (type === "rate") {
		const arms = moments.flatMap((one) =>
			one === null ? [] : [betaPosterior({ n: one.n, sum: one.n * one.mean }, PRIOR_UNIFORM)],
		);
		return arms.length === moments.length ? { family: "beta", arms } : null;
	}
	if (type !== "mean") return null;
	const arms = moments.flatMap((one) => {
		if (one === NO_UNITS) return [{ mean: 0, sd: 1 }];
		return (one === null ? null : gaussianPosterior(one, null)) ?? [];
	});
	return arms.length === moments.length ? { family: "gaussian", arms } : null;
}

const NO_UNITS = { n: 0, mean: 0, m2: 0 };
