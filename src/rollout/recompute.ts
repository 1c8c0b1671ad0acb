/**
 * `weir decisions --recompute`: a stored decision made again from its stored aggregates alone.
 */
import { canonicalJson } from "../resources/canonicalJson.js";
import { decide } from "./decide.js";
import type { Decision } from "./decision.js";
import { saysTheSame } from "./formerRules.js";
import { heldAtGate } from "./gate.js";

export interface Recomputation {
	/**
	 * True when every byte of the canonical outcome is the same. By former rules: when it says the same, see
	 * formerRules.ts.
	 */
	readonly matches: boolean;
	/** It was made by former rules, so numbers are compared as numbers and not as bytes. */
	readonly former: boolean;
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
	const made = gate === undefined ? decided : heldAtGate(decision.input, decided, gate);
	const actual = canonicalJson(made);
	if (decision.input.rules !== undefined) return { matches: actual === expected, former: false, expected, actual };
	const matches = saysTheSame(JSON.parse(actual), JSON.parse(expected));
	return { matches, former: true, expected, actual };
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
export function recomputedWords(decision: Decision): { readonly words: string; readonly holds: boolean } {
	const again = recompute(decision);
	if (again === null) {
		const words = NOTHING_TO_RECOMPUTE[decision.outcome.rule];
		return { words: words ?? INPUT_MISSING, holds: words !== undefined };
	}
	const { matches, former, expected, actual } = again;
	if (!matches) return { words: `DIFFERS\n      stored     ${expected}\n      recomputed ${actual}`, holds: false };
	const how = former ? "it says the same, by the rules of its time" : "every byte matches";
	return { words: `recomputed from its stored aggregates: ${how}`, holds: true };
}
