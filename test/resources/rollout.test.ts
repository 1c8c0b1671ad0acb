/** What a rollout asks for and cannot have. */
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
		[
			"w.yaml:57:25: design fixed-horizon has no goal to look at; add a goal, or remove inference: harm is sequential anyway",
		],
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
		[
			"w.yaml:58:25: design group-sequential looks at a goal by one statistic, and latency-p99 is a quantile; write design: sequential, or name a mean or a rate as the goal",
		],
	],
	[
		"a bandit",
		rollout("bandit: {algorithm: top-two}"),
		[
			"w.yaml:58:13: bandit asks for shares that follow the outcomes, which this version does not carry out; remove it: the arms keep their declared shares",
		],
	],
]);
