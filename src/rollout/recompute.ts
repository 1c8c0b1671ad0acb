/**
 * `weir decisions --recompute`: a stored decision made again from its stored aggregates alone.
 */
import { canonicalJson } from "./canonicalJson.js";
import { decide } from "./decide.js";
import type { Decision } from "./decision.js";
import { saysTheSame } from "./formerRules.js";
import { heldAtGate } from "./gate.js";

export interface Recomputation {
	/**
	 * True when every byte of the canonical outcome is the same; also for decisions by persons, which have no input. By
	 * former rules: when it says the same, see formerRules.ts.
	 */
	readonly matches: boolean;
	/** It was made by former rules, so numbers are compared as numbers and not as bytes. */
	readonly former: boolean;
	/** Canonical JSON of the stored outcome. */
	readonly expected: string;
	/** Canonical JSON of the outcome made now; null where there is no input to make it from. */
	readonly actual: string | null;
}

/** Recomputes one decision; reads nothing but `decision.input`, and what a gate answered. */
export function recompute(decision: Decision): Recomputation {
	const expected = canonicalJson(decision.outcome);
	if (decision.input === null) return { matches: true, former: false, expected, actual: null };
	const decided = decide(decision.input);
	const { gate } = decision.outcome;
	const made = gate === undefined ? decided : heldAtGate(decision.input, decided, gate);
	const actual = canonicalJson(made);
	if (decision.input.rules !== undefined) return { matches: actual === expected, former: false, expected, actual };
	const matches = saysTheSame(JSON.parse(actual), JSON.parse(expected));
	return { matches, former: true, expected, actual };
}
