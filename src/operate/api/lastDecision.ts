/** The newest decision about an Experiment, in brief. */
import { goalLogE } from "../../decide/rollout/fleet.js";
import type { DecisionLog } from "../state/store/decisionLog.js";
import type { LastDecision } from "./wire.js";

/** null = no decision yet. */
export function lastDecisionIn(log: DecisionLog, experiment: string): LastDecision | null {
	const sequence = log.last(experiment);
	const decision = log.page(experiment, sequence - 1, 1).decisions[0];
	if (decision === undefined) return null;
	const { atMs, by, acknowledgedAtMs } = decision;
	const { action, rule, reason, summary, expectedMs } = decision.outcome;
	const shown = { action, rule, reason, ...(summary === undefined ? {} : { summary }), goalLogE: goalLogE(decision) };
	return { sequence, atMs, by, ...shown, expectedMs, acknowledgedAtMs };
}
