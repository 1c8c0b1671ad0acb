/** How an Experiment came to assign nobody any more, read from its decisions. Pure. */
import type { Decision } from "./decision.js";
import { isOver, type Phase } from "./status.js";

/** There are no others: nobody can delete one that is under way. */
export const END_REASONS = ["aborted", "rolled-back", "promoted"] as const;

export interface ExperimentEnd {
	readonly reason: (typeof END_REASONS)[number];
	readonly atMs: number;
	/** Sequence of the decision that ended it, which says who and why. */
	readonly decision: number;
	/** Qualified name; null = nobody knows it any more. */
	readonly service: string | null;
	/**
	 * That all of the Service's requests get: the promoted one, or the default at the moment of telling, which may have been
	 * another at `atMs`; null = there is no such Service.
	 */
	readonly variant: string | null;
}

const OVER: Partial<Record<Phase, ExperimentEnd["reason"]>> = {
	Aborted: "aborted",
	RolledBack: "rolled-back",
	Promoted: "promoted",
};

/**
 * @param newestFirst its decisions, of which those are taken that are needed
 * @returns null = it has not ended, or nothing was ever decided of it. Its Variant is the promoted one, else null: the Service's
 * default, which is known elsewhere
 */
export function endIn(newestFirst: Iterable<Decision>): Omit<ExperimentEnd, "service"> | null {
	let end: Decision | null = null;
	for (const decision of newestFirst) {
		// What is decided of an ended one (another declaration, its deletion, that a promotion is undone) moves nobody out of an arm.
		if (!isOver(decision.outcome.status.phase)) break;
		end = decision;
	}
	if (end === null) return null;
	const { phase, promotion } = end.outcome.status;
	const reason = OVER[phase];
	if (reason === undefined) return null;
	const variant = phase === "Promoted" ? (promotion?.variant ?? null) : null;
	return { reason, atMs: end.atMs, decision: end.sequence, variant };
}
