/**
 * The end without a verdict: maxDuration has passed, or the last planned look did not prove the goal. onInconclusive sets what
 * happens then. A paused experiment stays paused.
 */
import { baselineVariant } from "../../../infer/statistics/question.js";
import type { DecisionInput, Outcome, Rule } from "../decision.js";
import { type Explanation, outcomeOf, type RuleFunction } from "../outcome.js";
import { duration } from "../sentence.js";
import { shortageOf } from "../shortage.js";
import { plain } from "../summary.js";

/** Why no verdict led to a promotion: it waited for a person, or the data are broken. */
interface Kept extends Explanation {
	readonly by: "person" | "data";
}

export const maxDuration = (...[input, analysis, kept]: [...Parameters<RuleFunction>, kept?: Kept]): Outcome | null => {
	const { experiment, status, nowMs } = input;
	const { maxDurationMs } = experiment.spec.rollout;
	const ran = nowMs - (status.durationFromMs ?? status.startedAtMs);
	if (maxDurationMs === null || ran < maxDurationMs) return null;
	if (kept?.by === "person")
		return inconclusive(input, analysis, "max-duration", {
			reason: `no promotion after ${duration(ran)} of at most ${duration(maxDurationMs)}: ${kept.reason}`,
			summary: `${kept.summary}, and in ${duration(ran)} no one promoted it`,
		});
	if (kept?.by === "data")
		return inconclusive(input, analysis, "max-duration", {
			reason: `no verdict after ${duration(ran)} of at most ${duration(maxDurationMs)}, the data are broken: ${kept.reason}`,
			summary: `no clear result after ${duration(ran)}, because what is measured cannot be trusted (${kept.summary})`,
		});
	const cause = shortageOf(input)?.cause;
	return inconclusive(input, analysis, "max-duration", {
		reason: `no verdict after ${duration(ran)} of at most ${duration(maxDurationMs)}${cause === undefined ? "" : `; ${cause.reason}`}`,
		summary: `no clear result after ${duration(ran)}${cause === undefined ? "" : `, ${cause.summary}`}`,
	});
};

/** The outcome that onInconclusive sets, for a reason and a summary without beginning and end. */
export function inconclusive(
	input: DecisionInput,
	analysis: Parameters<RuleFunction>[1],
	rule: Rule,
	{ reason, summary }: Explanation,
): Outcome {
	const { experiment, status } = input;
	if (experiment.spec.rollout.onInconclusive === "pause")
		return outcomeOf(
			input,
			analysis,
			["pause", rule],
			{ reason: `Paused: ${reason}; a person decides.`, summary: plain(summary, "paused until a person decides") },
			{ status: { ...status, phase: "Paused", hold: "inconclusive" } },
		);
	return outcomeOf(
		input,
		analysis,
		["roll-back", rule],
		{
			reason: `Back to the default: ${reason}.`,
			summary: plain(summary, `${input.replaces ?? baselineVariant(experiment)} stays`),
		},
		{ status: { ...status, phase: "RolledBack", allocationPpm: 0, hold: null } },
	);
}
