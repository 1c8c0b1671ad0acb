/** Unsupported combinations in a rollout. */
import t from "tap";
import { GOOD, spoil } from "./declaration.js";
import { checkRows } from "./faultTable.js";

const rollout = (line: string, text = GOOD): string => spoil("    every: 10s\n", `    every: 10s\n    ${line}\n`, text);
const GROUPS = "inference: {design: group-sequential, units: 20000, looks: 4}";
const FIXED = "inference: {design: fixed-horizon, units: 20000}";
const noGoal = spoil("  goal: {metric: accuracy, improveBy: {absolute: 0.5pp}}\n", "", GOOD);

checkRows(t, [
	["planned looks at a rate", rollout(GROUPS), []],
	[
		"planned looks without a goal",
		rollout(FIXED, noGoal),
		["w.yaml:57:25: design fixed-horizon has no goal to look at"],
	],
	[
		"planned looks at a quantile",
		rollout(
			GROUPS,
			spoil(
				"{metric: accuracy, improveBy: {absolute: 0.5pp}}",
				"{metric: latency-p99, improveBy: {relative: 10%}}",
				GOOD,
			),
		),
		["w.yaml:58:25: design group-sequential looks at a goal by one statistic, and latency-p99 is a quantile"],
	],
	["Thompson with one challenger", rollout("bandit: {algorithm: thompson}"), []],
	[
		"top-two with one challenger",
		rollout("bandit: {}"),
		["w.yaml:58:13: top-two among one challenger and the baseline gives each a half, whatever the outcomes"],
	],
	[
		"a bandit without a goal",
		rollout("bandit: {algorithm: thompson}", noGoal),
		["w.yaml:57:13: bandit has no goal by which an arm is best"],
	],
	[
		"a bandit by a quantile",
		rollout(
			"bandit: {algorithm: thompson}",
			spoil(
				"{metric: accuracy, improveBy: {absolute: 0.5pp}}",
				"{metric: latency-p99, improveBy: {relative: 10%}}",
				GOOD,
			),
		),
		["w.yaml:58:13: bandit ranks arms by a rate or a mean, and latency-p99 is a quantile"],
	],
	[
		"a bandit with planned looks",
		rollout(`bandit: {algorithm: thompson}\n    ${GROUPS}`),
		["w.yaml:58:13: bandit moves shares by outcomes, and design group-sequential plans its units ahead"],
	],
	[
		"a bandit with a holdback",
		rollout("bandit: {algorithm: thompson}\n    holdback: {share: 5%, for: 30d}"),
		[
			"w.yaml:58:13: bandit and holdback are not carried out together: a holdback compares people who are new, and a challenger's edge is full of those who come back",
		],
	],
	["a holdback longer than the longest window", rollout("holdback: {share: 5%, for: 61m}"), []],
	[
		"a holdback that ends before any of its units is measured",
		rollout("holdback: {share: 5%, for: 60m}"),
		[
			"w.yaml:58:32: a holdback of 1h measures no unit by latency-p99: a unit that comes in it counts after 3606s (its window, and what it takes to arrive)",
		],
	],
	[
		"a floor below one point",
		rollout("bandit: {algorithm: thompson, floor: 0.0001%}"),
		[
			"w.yaml:58:42: floor 0.0001% leaves arm control no live point",
			"w.yaml:58:42: floor 0.0001% leaves arm boosted no live point",
		],
	],
]);
