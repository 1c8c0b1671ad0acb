/**
 * The baseline has changed since a metric's thresholds were frozen, so a claim cannot be judged. The thresholds are dropped
 * and frozen again from new requests. Earlier measurements are discarded.
 */
import { unmovedShares } from "../../../infer/statistics/frozenReference.js";
import { baselineOf } from "../../../infer/statistics/question.js";
import { ofRequests } from "../../../infer/statistics/slowShare.js";
import type { DecisionInput } from "../decision.js";
import { type Explanation, outcomeOf, type RuleFunction } from "../outcome.js";
import { number, percent } from "../sentence.js";
import type { Refreeze } from "../status.js";
import { called } from "../summary.js";
import { shapes } from "./brokenData.js";

export const baselineMoved: RuleFunction = (input, analysis) => {
	const { status, nowMs } = input;
	const { moved } = analysis;
	if (moved.length === 0) return null;
	// A share that is not a number does not show a change.
	if (shapes(input).length > 0) return null;
	const thresholds = Object.fromEntries(Object.entries(status.thresholds).filter(([name]) => !moved.includes(name)));
	const refreezes: Record<string, Refreeze> = { ...status.refreezes };
	for (const name of moved) {
		const { era = 1, referenceMs = Number.NaN } = status.thresholds[name] ?? {};
		refreezes[name] = { era: era + 1, sinceMs: nowMs, formerMs: referenceMs };
	}
	const texts = moved.map((name) => textOf(input, name));
	return outcomeOf(
		input,
		analysis,
		["unfreeze-threshold", "baseline-moved"],
		{
			reason: `The baseline itself has moved: ${texts.map(({ reason }) => reason).join("; ")}. Nothing can be concluded of ${moved.join(", ")} until it is frozen again, from requests after ${nowMs}; what was measured so far is left out.`,
			summary: `${texts.map(({ summary }) => summary).join(". ")}. Until the limits are set again nothing is concluded from them.`,
		},
		{ status: { ...status, thresholds, refreezes } },
	);
};

function textOf({ experiment, metrics, evidence, status }: DecisionInput, name: string): Explanation {
	const found = evidence.arms.find(({ arm }) => arm === baselineOf(experiment))?.metrics[name];
	const { n = 0, mean = Number.NaN } = found ?? {};
	const quantile = metrics[name]?.spec.quantile ?? Number.NaN;
	const { from, to } = unmovedShares(quantile);
	const ms = number(status.thresholds[name]?.referenceMs ?? Number.NaN);
	const share = (value: number): string => percent(Number((value * 1e6).toPrecision(3)));
	const slow = ofRequests(share(mean));
	const did = `${share(1 - quantile)} of all requests did`;
	return {
		reason: `${slow} over ${n} units are slower than ${ms} ms, its quantile ${quantile} when ${name} was frozen (${share(from)} to ${share(to)} would still be that)`,
		summary: `The old version itself has become ${mean > 1 - quantile ? "slower" : "faster"} since the limits of ${called(name, metrics[name])} were set: ${slow} take longer than ${ms} ms, ${did}`,
	};
}
