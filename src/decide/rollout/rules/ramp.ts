/** The next step of the allocation: enough units in every arm, enough time at this step, no harm. */
import type { DecisionInput } from "../decision.js";
import { outcomeOf, type RuleFunction } from "../outcome.js";
import { scarcest } from "../scarcest.js";
import { duration, percent } from "../sentence.js";
import { count } from "../summary.js";

export const ramp: RuleFunction = (input, analysis) => {
	const { experiment, status, nowMs } = input;
	const { stepsPpm, everyMs, minUnits } = experiment.spec.rollout;
	const next = stepsPpm[status.stepIndex + 1];
	const { arm, units } = scarcest(input);
	if (units < minUnits || next === undefined || nowMs - status.stepStartedAtMs < everyMs) return null;
	return outcomeOf(
		input,
		analysis,
		["ramp", "ramp"],
		{
			reason: `Ramped from ${percent(status.allocationPpm)} to ${percent(next)}: ${units} matured units in the smallest arm ${arm} (needs ${minUnits}), ${duration(nowMs - status.stepStartedAtMs)} at this step, no harm${leftOut(input)}.`,
			summary: `Now ${percent(next)} instead of ${percent(status.allocationPpm)} take part: no harm was found among at least ${count(units)} people of each version.`,
		},
		{ status: { ...status, stepIndex: status.stepIndex + 1, allocationPpm: next, stepStartedAtMs: nowMs } },
	);
};

/** What is missing from the evidence, however little, as the end of a sentence. */
export function leftOut({ evidence }: DecisionInput): string {
	const { droppedEntries, conflictingUnits, forcedUnits } = evidence;
	return [
		droppedEntries === 0 ? "" : `; ${droppedEntries} access-log entries were dropped`,
		conflictingUnits === 0 ? "" : `; ${conflictingUnits} units seen in two arms were left out`,
		forcedUnits === 0 ? "" : `; ${forcedUnits} units with a forced arm were left out`,
	].join("");
}
