/**
 * Which outcomes are recorded already: a hold that differs from the last record in numbers only is not recorded again.
 * Kept in memory: after a restart a hold is recorded once more.
 */
import { GATE_RECORD_MS_MAX, GATE_RETRY_MS } from "../limits.js";
import type { GateAnswer, Outcome } from "./decision.js";

interface LastRecord {
	readonly kind: string;
	readonly gate: string;
	readonly atMs: number;
	/** How often it was recorded in a row for another gate or answer alone. */
	readonly changes: number;
}

export class RecordedOutcomes {
	/** By Experiment. */
	readonly #last = new Map<string, LastRecord>();

	/**
	 * Whether the outcome is a hold that needs no record now. One whose gate or its answer is another gets one at once the first
	 * times, and later after growing pauses, so that a gate that never says the same twice does not fill the decision log: what
	 * stands recorded is then at most GATE_RECORD_MS_MAX old.
	 */
	has(experiment: string, outcome: Outcome, nowMs: number): boolean {
		const last = this.#last.get(experiment);
		if (outcome.action !== "hold" || last?.kind !== kindOf(outcome)) return false;
		if (last.gate === gateOf(outcome.gate)) return true;
		return nowMs - last.atMs < Math.min(GATE_RECORD_MS_MAX, GATE_RETRY_MS.first * 2 ** Math.min(last.changes - 1, 30));
	}

	add(experiment: string, outcome: Outcome, atMs: number): void {
		const [kind, gate] = [kindOf(outcome), gateOf(outcome.gate)];
		const last = this.#last.get(experiment);
		const changes = last?.kind === kind && last.gate !== gate ? last.changes + 1 : 0;
		this.#last.set(experiment, { kind, gate, atMs, changes });
	}
}

/** Outcomes of one kind differ in numbers, and in what a gate said, only. */
function kindOf(outcome: Outcome): string {
	const { action, rule, waitsFor = "", status } = outcome;
	const { phase, stepIndex, promotion, looks = [] } = status;
	// What it names is what is to be done or waited for. Read of no other rule: its words have numbers, and cost when they are read.
	const named = rule === "access" || rule === "concurrent" ? outcome.reason : "";
	return [action, rule, waitsFor, phase, stepIndex, promotion?.stepIndex ?? "", looks.length, named].join("|");
}

/** Which gate and what its answer was, without its own words: they may differ each time. */
const gateOf = (gate: GateAnswer | undefined): string =>
	gate === undefined ? "" : [gate.at, gate.where, gate.status ?? "no answer"].join("|");
