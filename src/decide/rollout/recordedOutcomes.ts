/**
 * Which outcomes are recorded already: a hold that differs from the last record in numbers only is not recorded again.
 * Kept in memory: after a restart a hold is recorded once more.
 */
import { GATE_RETRY_MS } from "../../limits/index.js";
import type { Outcome } from "./decision.js";

/** Longest pause between two records of one hold whose gate keeps changing its response: 24 a day. */
const GATE_RECORD_MS_MAX = 60 * 60 * 1000;

/** Different names of one hold that are recorded at once, and the time after which one more is. */
const HOLD_NAMES_AT_ONCE = 20;
const HOLD_NAMES_REGAIN_MS = 2 * 60_000;

interface LastRecord {
	readonly kind: string;
	readonly named: string;
	readonly atMs: number;
	/** Consecutive records that differ in names only; decreases with time. */
	readonly changes: number;
	/** Minimum pause before the next such record. */
	readonly pauseMs: number;
}

export class RecordedOutcomes {
	/** By Experiment. */
	readonly #last = new Map<string, LastRecord>();

	/**
	 * Whether the outcome is a hold that needs no record now. If it names another gate, answer, policy, promotion or shortage, it
	 * is recorded at once the first times and then with growing pauses, so that changing names do not fill the access record log.
	 * The last record is at most GATE_RECORD_MS_MAX old.
	 */
	has(experiment: string, outcome: Outcome, nowMs: number): boolean {
		const last = this.#last.get(experiment);
		if (outcome.action !== "hold" || last?.kind !== kindOf(outcome)) return false;
		if (last.named === namedBy(outcome)) return true;
		return nowMs - last.atMs < last.pauseMs;
	}

	add(experiment: string, outcome: Outcome, atMs: number): void {
		const [kind, named] = [kindOf(outcome), namedBy(outcome)];
		const last = this.#last.get(experiment);
		const [atOnce, regainMs] =
			outcome.gate === undefined ? [HOLD_NAMES_AT_ONCE, HOLD_NAMES_REGAIN_MS] : [1, Number.POSITIVE_INFINITY];
		const isNext = last?.kind === kind && last.named !== named;
		const changes = isNext ? Math.max(0, last.changes + 1 - (atMs - last.atMs) / regainMs) : 0;
		const pauseMs = Math.min(GATE_RECORD_MS_MAX, GATE_RETRY_MS.first * 2 ** Math.min(changes - atOnce, 30));
		this.#last.set(experiment, { kind, named, atMs, changes, pauseMs });
	}
}

/** Outcomes of one kind differ only in numbers and names. */
function kindOf({ action, rule, waitsFor, status }: Outcome): string {
	const { phase, stepIndex, promotion, looks = [] } = status;
	return [action, rule, waitsFor ?? "", phase, stepIndex, promotion?.stepIndex ?? "", looks.length].join("|");
}

/** What the hold names: the gate and its status without its text (which may differ each time), the policy, the promotion or the shortage. */
function namedBy(outcome: Outcome): string {
	const { rule, gate } = outcome;
	if (gate !== undefined) return [gate.at, gate.where, gate.status ?? "no answer"].join("|");
	// Only for these rules: other reasons contain numbers, and are expensive to build.
	return rule === "access" || rule === "concurrent" ? outcome.reason : (outcome.lacks ?? "");
}
