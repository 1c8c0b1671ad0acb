/**
 * `weir decisions --recompute`: a stored decision made again from its stored aggregates alone.
 */
import { canonicalJson } from "./canonicalJson.js";
import { decide } from "./decide.js";
import type { Decision } from "./decision.js";

export interface Recomputation {
	/** True when every byte of the canonical outcome is the same; also for decisions by persons, which have no input. */
	readonly matches: boolean;
	/** Canonical JSON of the stored outcome. */
	readonly expected: string;
	/** Canonical JSON of the outcome made now; null where there is no input to make it from. */
	readonly actual: string | null;
}

/** Recomputes one decision; reads nothing but `decision.input`. */
export function recompute(decision: Decision): Recomputation {
	const expected = canonicalJson(decision.outcome);
	if (decision.input === null) return { matches: true, expected, actual: null };
	const actual = canonicalJson(decide(decision.input));
	return { matches: actual === expected, expected, actual };
}
