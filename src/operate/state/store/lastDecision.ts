/** The newest decision about an Experiment, in brief. */
import type { Action, Rule } from "../../../decide/rollout/decision.js";
import { goalLogE } from "../../../decide/rollout/fleet.js";
import type { DecisionLog } from "./decisionLog.js";

export interface LastDecision {
	readonly sequence: number;
	readonly atMs: number;
	readonly by: string;
	readonly action: Action;
	readonly rule: Rule;
	readonly reason: string;
	/** For people, in plain text. */
	readonly summary?: string;
	/** ln of the e-value for its goal at that time, see goalLogE(). */
	readonly goalLogE: number | null;
	readonly expectedMs: number | null;
	readonly acknowledgedAtMs: number | null;
}

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
