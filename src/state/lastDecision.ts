/** The newest decision about an Experiment, as lists tell it. */
import type { Decision } from "../rollout/decision.js";
import { goalLogE } from "../rollout/fleet.js";
import type { DecisionLog } from "./decisionLog.js";
import type { LastDecision } from "./wire.js";

/** null for none. */
export function lastDecisionIn(log: DecisionLog, experiment: string): LastDecision | null {
	const sequence = log.last(experiment);
	const decision = log.page(experiment, sequence - 1, 1).decisions[0];
	if (decision === undefined) return null;
	const { atMs, by, acknowledgedAtMs } = decision;
	const { action, rule, reason, summary, expectedMs } = decision.outcome;
	const said = { action, rule, reason, ...(summary === undefined ? {} : { summary }), goalLogE: logEOf(decision) };
	return { sequence, atMs, by, ...said, expectedMs, acknowledgedAtMs };
}

function logEOf({ input, outcome }: Decision): number | null {
	if (input === null) return goalLogE(outcome.findings, 0);
	const { arms, goal, rollout } = input.experiment.spec;
	const isQuantile = goal !== null && input.metrics[goal.metric]?.spec.type === "quantile";
	const challengers = arms.filter(({ baseline }) => !baseline).length;
	return goalLogE(outcome.findings, challengers, isQuantile ? rollout.alpha : null);
}
