/**
 * `weir decisions --recompute`: a stored decision made again from its stored aggregates alone.
 */
import { canonicalJson } from "../../declare/resources/canonicalJson.js";
import { decide } from "./decide.js";
import type { Decision } from "./decision.js";
import { heldByGate } from "./gate.js";

export interface Recomputation {
	/** True when every byte of the canonical outcome is the same. */
	readonly matches: boolean;
	/** Canonical JSON of the stored outcome. */
	readonly expected: string;
	/** Canonical JSON of the outcome made now. */
	readonly actual: string;
}

/**
 * Recomputes one decision; reads nothing but `decision.input`, and what a gate answered. null where there is no input:
 * people's acts and declarations are no conclusions.
 */
export function recompute(decision: Decision): Recomputation | null {
	if (decision.input === null) return null;
	const expected = canonicalJson(decision.outcome);
	const decided = decide(decision.input);
	const { gate } = decision.outcome;
	const made = gate === undefined ? decided : heldByGate(decision.input, decided, gate);
	const actual = canonicalJson(made);
	return { matches: actual === expected, expected, actual };
}

/** What has no input, by the rule that it names: nothing was concluded. */
const NOTHING_TO_RECOMPUTE: Readonly<Partial<Record<Decision["outcome"]["rule"], string>>> = {
	person: "a person's act: nothing to recompute",
	declaration: "a declaration, a person's act: nothing to recompute",
	gate: "a gate's answer to a person's act: nothing to recompute",
};

const INPUT_MISSING = "NOT RECOMPUTED: what it was made from is not there, or not all of it is yours to read";

/**
 * A recomputation in one line, and whether it bears the decision out. Claims none that did not take place: a conclusion
 * whose input is missing is not borne out.
 */
export function recomputationText(decision: Decision): { readonly words: string; readonly holds: boolean } {
	const again = recompute(decision);
	if (again === null) {
		const words = NOTHING_TO_RECOMPUTE[decision.outcome.rule];
		return { words: words ?? INPUT_MISSING, holds: words !== undefined };
	}
	const { matches, expected, actual } = again;
	if (!matches) return { words: `DIFFERS\n      stored     ${expected}\n      recomputed ${actual}`, holds: false };
	return { words: "recomputed from its stored aggregates: every byte matches", holds: true };
}
