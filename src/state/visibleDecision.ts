/**
 * A stored decision as a reader may see it. Weir once looked for interactions with Experiments of other namespaces too: what
 * such a decision saw of one that the reader may not read is left out, and words that name it are others, without the input
 * by which they could be made again.
 */
import { namespaceOf } from "../resources/resource.js";
import type { Decision } from "../rollout/decision.js";
import type { MayRead } from "./visible.js";

const REASON = "It names an Experiment of another namespace.";
const SUMMARY = "Why is told to those who may read another namespace, too.";

export function visibleDecision(decision: Decision, mayRead: MayRead): Decision {
	const { input, outcome } = decision;
	if (input === null) return decision;
	// Absent in the first ones.
	const { interactions = [] } = input.evidence;
	const seen = interactions.filter(({ experiment }) => mayRead(namespaceOf(experiment)));
	if (seen.length === interactions.length) return decision;
	const isNamed = interactions.some(
		(other) => !seen.includes(other) && outcome.reason.includes(`experiment ${other.experiment}`),
	);
	return isNamed
		? { ...decision, input: null, outcome: { ...outcome, reason: REASON, summary: SUMMARY } }
		: { ...decision, input: { ...input, evidence: { ...input.evidence, interactions: seen } } };
}
