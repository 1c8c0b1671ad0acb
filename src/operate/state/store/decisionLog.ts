/**
 * The decisions of every experiment, numbered 1, 2, 3 … without a gap and never removed, and which of them all
 * Envoys have acknowledged. Its methods that write run inside the caller's transaction.
 */

import type { Decision, DecisionInput, Outcome } from "../../../decide/rollout/decision.js";
import type { ExperimentStatus } from "../../../decide/rollout/status.js";
import { DECISIONS_PAGE_MAX } from "../../../limits/index.js";
import type { StateDatabase } from "./database.js";

export interface NewDecision {
	/** Qualified name. */
	readonly experiment: string;
	readonly by: string;
	readonly atMs: number;
	readonly input: DecisionInput | null;
	readonly outcome: Outcome;
}

export interface DecisionPage {
	readonly decisions: readonly Decision[];
	/** Ask again with `after` = this; null: there are no more yet. */
	readonly next: number | null;
}

export class DecisionLog {
	readonly #database: StateDatabase;

	constructor(database: StateDatabase) {
		this.#database = database;
	}

	/**
	 * Appends a decision that led to `revision`. `before` is the status it was made on, null for a start: it shows
	 * whether live traffic moves.
	 */
	append(made: NewDecision, revision: number, before: ExperimentStatus | null): Decision {
		const { decisions, pending, counters } = this.#database;
		// A decision that changed nothing belongs to a revision that Envoys may have acknowledged already.
		const acknowledged = revision <= (counters.get("acknowledged") ?? -1) && !this.#waitsOf(made.experiment);
		const decision: Decision = {
			experiment: made.experiment,
			sequence: this.last(made.experiment) + 1,
			atMs: made.atMs,
			by: made.by,
			input: made.input,
			outcome: made.outcome,
			acknowledgedAtMs: acknowledged ? made.atMs : null,
		};
		const movesTraffic = before === null || liveTraffic(before) !== liveTraffic(made.outcome.status);
		decisions.putSync([decision.experiment, decision.sequence], { decision, revision, movesTraffic });
		if (!acknowledged) pending.putSync([revision, decision.experiment, decision.sequence], true);
		return decision;
	}

	/** The highest sequence of the experiment; 0 where it has none. */
	last(experiment: string): number {
		for (const key of this.#database.decisions.getKeys({
			start: [experiment, Number.MAX_SAFE_INTEGER],
			end: [experiment, 0],
			reverse: true,
			limit: 1,
		})) {
			return key[1];
		}
		return 0;
	}

	/** Decisions with a sequence above `after`, oldest first, at most `limit`. */
	page(experiment: string, after: number, limit: number): DecisionPage {
		const size = Math.min(limit, DECISIONS_PAGE_MAX);
		const found = [
			...this.#database.decisions.getRange({
				start: [experiment, after + 1],
				end: [experiment, Number.MAX_SAFE_INTEGER],
				limit: size + 1,
			}),
		].map(({ value }) => value.decision);
		const decisions = found.slice(0, size);
		return { decisions, next: found.length > size ? (decisions.at(-1)?.sequence ?? null) : null };
	}

	/** The last decisions made at `atMs` or before that moved live traffic, newest first, at most `limit`. */
	moves(experiment: string, atMs: number, limit: number): readonly Decision[] {
		const found: Decision[] = [];
		for (const { value } of this.#database.decisions.getRange({
			start: [experiment, Number.MAX_SAFE_INTEGER],
			end: [experiment, 0],
			reverse: true,
		})) {
			if (!value.movesTraffic || value.decision.atMs > atMs) continue;
			found.push(value.decision);
			if (found.length >= limit) break;
		}
		return found;
	}

	/** All decisions of the experiment, read lazily. */
	*newestFirst(experiment: string): Iterable<Decision> {
		for (const { value } of this.#database.decisions.getRange({
			start: [experiment, Number.MAX_SAFE_INTEGER],
			end: [experiment, 0],
			reverse: true,
		})) {
			yield value.decision;
		}
	}

	/** Whether what led to `revision` or an earlier one is not acknowledged yet. */
	waits(revision: number): boolean {
		return [...this.#database.pending.getKeys()].some(([madeAt]) => madeAt <= revision);
	}

	#waitsOf(name: string): boolean {
		return [...this.#database.pending.getKeys()].some(([, experiment]) => experiment === name);
	}

	/**
	 * Marks what led to `revision` or an earlier one as acknowledged at `atMs`, but for the experiments that are held.
	 * Returns the experiments whose newest move of live traffic is among it: their step begins now.
	 */
	acknowledge(revision: number, atMs: number, held: ReadonlySet<string> = new Set()): ReadonlySet<string> {
		const { decisions, pending } = this.#database;
		const moved = new Set<string>();
		const keys = [...pending.getKeys()];
		for (const [madeAt, experiment, sequence] of keys) {
			if (held.has(experiment)) continue;
			const stored = decisions.get([experiment, sequence]);
			if (madeAt > revision) {
				// A later move that waits for its own acknowledgement: the step of the earlier one is over.
				if (stored?.movesTraffic === true) moved.delete(experiment);
				continue;
			}
			pending.removeSync([madeAt, experiment, sequence]);
			if (stored === undefined) continue;
			if (stored.movesTraffic) moved.add(experiment);
			decisions.putSync([experiment, sequence], {
				...stored,
				decision: { ...stored.decision, acknowledgedAtMs: atMs },
			});
		}
		return moved;
	}
}

/** The part of a status that reaches Envoy: two statuses with the same text send every unit to the same Variant. */
function liveTraffic(status: ExperimentStatus): string {
	const { phase, allocationPpm, closedArms, promotion, shares } = status;
	// Running and Paused serve the same traffic.
	return JSON.stringify([phase === "Paused" ? "Running" : phase, allocationPpm, closedArms, promotion, shares?.ppm]);
}
