/**
 * Harm: a guardrail proved worse than its margin, or the goal proved worse than zero, over all units or in a segment.
 * onHarm roll-back: closes the arm, and rolls the experiment back if no challenger is left. onHarm freeze: the allocation
 * stays until a person decides. Units stay in their arm, and new units still join at the same share.
 */
import type { DecisionInput, Finding } from "../decision.js";
import { openChallengers, outcomeOf, type RuleFunction } from "../outcome.js";
import { harmSentence, percent } from "../sentence.js";
import type { ExperimentStatus } from "../status.js";
import { plain, rolledBack, whereIn, worse } from "../summary.js";
import { dataWarning } from "./brokenData.js";

/** Key of a harm in a status. */
export function harmKey({ arm, metric, role, segment }: Finding): string {
	return [arm, metric, role, ...(segment === undefined ? [] : [segment.name, segment.value])].join("|");
}

/**
 * Metrics by which an arm was proved worse (onHarm: freeze), each once: `accuracy`, or `accuracy where country is de` if it
 * was proved in a segment only.
 */
export function namesOfHarm({ frozenHarms = [] }: Pick<ExperimentStatus, "frozenHarms">, arm: string): string[] {
	const own = frozenHarms.map((key) => key.split("|")).filter(([of]) => of === arm);
	const whole = own.flatMap(([, metric = "", , segment]) => (segment === undefined ? metric : []));
	// In harmKey() an empty value stands for all rarer values.
	const parts = own.flatMap(([, metric = "", , name, ...value]) =>
		name === undefined || whole.includes(metric) ? [] : `${metric}${whereIn({ name, value: value.join("|") || null })}`,
	);
	return [...new Set([...whole, ...parts])];
}

export const harm: RuleFunction = (input, analysis) => {
	const { status, experiment } = input;
	const harms = analysis.findings.filter((finding) => finding.verdict === "harm");
	if (harms.length === 0) return null;
	const doubts = dataWarning(input, analysis);
	const reason = `${harms.map(harmSentence).join("; ")}.${doubts.reason}`;
	const summary = (then: string): string =>
		plain(
			harms.map((finding) => worse(finding, input)),
			`${then}${doubts.summary}`,
		);
	if (experiment.spec.rollout.onHarm === "freeze") return frozen(input, analysis, harms, { reason, summary });
	const harmed = [...new Set(harms.map((finding) => finding.arm))];
	const left = openChallengers(input).filter((arm) => !harmed.includes(arm));
	const closedArms = [...status.closedArms, ...harmed];
	if (left.length > 0)
		return outcomeOf(
			input,
			analysis,
			["close-arm", "harm"],
			{
				reason: `Closed ${harmed.join(", ")}, ${left.join(", ")} goes on: ${reason}`,
				summary: summary(`${rolledBack(harmed, input)}, ${left.join(", ")} goes on`),
			},
			{ status: { ...status, closedArms } },
		);
	return outcomeOf(
		input,
		analysis,
		["roll-back", "harm"],
		{
			reason: `Rolled back: ${reason}`,
			summary: summary(rolledBack(harmed, input)),
		},
		{ status: { ...status, phase: "RolledBack", allocationPpm: 0, hold: null, closedArms } },
	);
};

/** Pauses once for each harm. After a person has resumed, the same harm does not pause it again. */
function frozen(
	input: DecisionInput,
	analysis: Parameters<RuleFunction>[1],
	harms: readonly Finding[],
	{ reason, summary }: { readonly reason: string; readonly summary: (then: string) => string },
): ReturnType<RuleFunction> {
	const { status } = input;
	const seen = status.frozenHarms ?? [];
	const fresh = harms.map(harmKey).filter((key) => !seen.includes(key));
	if (fresh.length === 0) return null;
	const at = percent(status.allocationPpm);
	return outcomeOf(
		input,
		analysis,
		["pause", "harm"],
		{
			reason: `Frozen at ${at}, a person decides: ${reason}`,
			summary: summary(`stopped at ${at} until a person decides`),
		},
		{ status: { ...status, phase: "Paused", hold: "harm", frozenHarms: [...seen, ...fresh] } },
	);
}
