/** `weir decisions --recompute`: recomputes a stored decision from its stored aggregates. */
import { canonicalJson } from "../../declare/resources/canonicalJson.js";
import { decide } from "./decide.js";
import type { Decision } from "./decision.js";
import { heldByGate } from "./gate.js";

export interface Recomputation {
	/** Whether the canonical outcomes have the same bytes. */
	readonly matches: boolean;
	/** Canonical JSON of the stored outcome. */
	readonly expected: string;
	/** Canonical JSON of the recomputed outcome. */
	readonly actual: string;
}

/** Recomputes a decision from `decision.input` and the gate's answer. null = no input, e.g. a person's command or a declaration. */
export function recompute(decision: Decision): Recomputation | null {
	if (decision.input === null) return null;
	const expected = canonicalJson(decision.outcome);
	const decided = decide(decision.input);
	const { gate } = decision.outcome;
	const made = gate === undefined ? decided : heldByGate(decision.input, decided, gate);
	const actual = canonicalJson(made);
	return { matches: actual === expected, expected, actual };
}

/** Rules whose decisions have no input. */
const BY_PERSON: ReadonlySet<Decision["outcome"]["rule"]> = new Set(["person", "declaration", "gate"]);

const INPUT_MISSING = "NOT RECOMPUTED: what it was made from is not there, or not all of it is yours to read";

/** The result of a recomputation as text, and whether it confirms the decision. A missing input confirms nothing. */
export function recomputationText(decision: Decision): { readonly text: string; readonly holds: boolean } {
	const again = recompute(decision);
	if (again === null) {
		const holds = BY_PERSON.has(decision.outcome.rule);
		return { text: holds ? "a person's act: nothing to recompute" : INPUT_MISSING, holds };
	}
	const { matches, expected, actual } = again;
	if (!matches) return { text: `DIFFERS\n      stored     ${expected}\n      recomputed ${actual}`, holds: false };
	return { text: "recomputed from its stored aggregates: every byte matches", holds: true };
}
