/**
 * How a rule speaks: what it is given, and the outcome that it makes.
 */
import type { Analysis } from "../../infer/statistics/analyse.js";
import type { DecisionInput, Outcome, Rule, WaitsFor } from "./decision.js";
import type { ExperimentStatus } from "./status.js";

/** null: it does not fire, and the next one is asked. */
export type RuleFunction = (input: DecisionInput, analysis: Analysis) => Outcome | null;

/** The one exact sentence, and the same in plain words. */
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
	words: Explanation,
	extras: Extras,
): Outcome {
	return {
		action,
		rule,
		// Made when they are read: a hold that was recorded already is not, and its words would need exact bounds.
		get reason() {
			return words.reason;
		},
		get summary() {
			return words.summary;
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
