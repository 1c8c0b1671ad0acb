/** The interface of a rule: its input and its outcome. */
import type { Analysis } from "../../infer/statistics/analyse.js";
import type { DecisionInput, Outcome, Rule, WaitsFor } from "./decision.js";
import type { ExperimentStatus } from "./status.js";

/** null = the rule does not apply, and the next one is tried. */
export type RuleFunction = (input: DecisionInput, analysis: Analysis) => Outcome | null;

/** The exact sentence, and the same in plain language. */
export interface Explanation {
	readonly reason: string;
	readonly summary: string;
}

export interface Extras {
	readonly status?: ExperimentStatus;
	readonly waitsFor?: WaitsFor;
	readonly lacks?: string;
	readonly expectedMs?: number | null;
	readonly defaultVariant?: string | null;
}

/** With the status of the input unless another is given. */
export function outcomeOf(
	input: DecisionInput,
	analysis: Analysis,
	[action, rule]: readonly [Outcome["action"], Rule],
	explanation: Explanation,
	extras: Extras,
): Outcome {
	return {
		action,
		rule,
		// Lazy: the text needs exact bounds, and a hold that is already recorded does not use it.
		get reason() {
			return explanation.reason;
		},
		get summary() {
			return explanation.summary;
		},
		findings: analysis.findings,
		srmP: analysis.srm?.p ?? null,
		status: extras.status ?? input.status,
		defaultVariant: extras.defaultVariant ?? null,
		expectedMs: extras.expectedMs ?? null,
		...(extras.waitsFor === undefined ? {} : { waitsFor: extras.waitsFor }),
		...(extras.lacks === undefined ? {} : { lacks: extras.lacks }),
	};
}

/** Challengers still in play, in declared order. */
export function openChallengers({ experiment, status }: Pick<DecisionInput, "experiment" | "status">): string[] {
	return experiment.spec.arms
		.filter((arm) => !arm.baseline && !status.closedArms.includes(arm.name))
		.map((arm) => arm.name);
}
