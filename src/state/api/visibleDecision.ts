/**
 * A stored decision as a reader may see it. Weir once looked for interactions with Experiments of other namespaces too: what
 * such a decision saw of one that the reader may not read is not told, and so its input is not: all levels were shares among
 * those Experiments too, and a part of it would give another outcome. Words that name one are others.
 */
import { namespaceOf } from "../../resources/resource.js";
import type { Decision } from "../../rollout/decision.js";
import type { MayRead } from "./visible.js";

const REASON = "It names an Experiment of another namespace.";
const SUMMARY = "Why is told to those who may read another namespace, too.";

export function visibleDecision(decision: Decision, mayRead: MayRead): Decision {
	const { input, outcome } = decision;
	if (input === null) return decision;
	// Absent in the first ones.
	const { interactions = [] } = input.evidence;
	const hidden = interactions.filter(({ experiment }) => !mayRead(namespaceOf(experiment)));
	if (hidden.length === 0) return decision;
	const isNamed = hidden.some(({ experiment }) => outcome.reason.includes(`experiment ${experiment}`));
	return {
		...decision,
		input: null,
		outcome: isNamed ? { ...outcome, reason: REASON, summary: SUMMARY } : outcome,
	};
}
