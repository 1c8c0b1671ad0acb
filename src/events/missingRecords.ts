/**
 * Times of which the decision log lacks records, each told by a record of its own once it is over, or has lasted for
 * MISSING_TOLD_MS: a flood of losses makes no flood of records.
 */
import { MISSING_OVER_MS, MISSING_TOLD_MS } from "../limits.js";
import { type DecisionRecord, type MISSING_REASONS, NOTHING_ELSE } from "./decisionRecord.js";

export type MissingReason = (typeof MISSING_REASONS)[number];

export interface MissingTime {
	/** Epoch milliseconds. */
	readonly fromMs: number;
	readonly untilMs: number;
	/** Records that are missing; 0 = nobody knows how many, or whether any. */
	readonly count: number;
}

/** Whose entries they were, where that is known. */
export interface MissingOf {
	readonly gateway: string | null;
	/** SPIFFE id of the Envoy. */
	readonly principal: string | null;
}

const NOBODYS: MissingOf = { gateway: null, principal: null };

/** @returns the record that tells of it */
export function missingRecord(
	reason: MissingReason,
	{ fromMs, untilMs, count }: MissingTime,
	whose: MissingOf = NOBODYS,
): DecisionRecord {
	// A clock that was set back while nobody looked tells no time before its beginning.
	const latencyMs = Math.max(0, untilMs - fromMs);
	return { ...NOTHING_ELSE, ...whose, kind: "records-missing", atMs: fromMs, latencyMs, reason, count };
}

/** Losses that are counted one by one, summed up until they are told. */
export class MissingRecords {
	readonly #times = new Map<MissingReason, MissingTime>();

	add(reason: MissingReason, count: number, fromMs: number, untilMs: number): void {
		const before = this.#times.get(reason);
		this.#times.set(reason, {
			fromMs: Math.min(fromMs, before?.fromMs ?? fromMs),
			untilMs: Math.max(untilMs, before?.untilMs ?? untilMs),
			count: count + (before?.count ?? 0),
		});
	}

	/** Whether one is counted that was not told yet. */
	has(reason: MissingReason): boolean {
		return this.#times.has(reason);
	}

	/** @returns records of those that are to be told now; it counts them no more */
	take(nowMs: number, all: boolean): readonly DecisionRecord[] {
		const due = [...this.#times].filter(
			([, { fromMs, untilMs }]) => all || nowMs - untilMs >= MISSING_OVER_MS || nowMs - fromMs >= MISSING_TOLD_MS,
		);
		for (const [reason] of due) this.#times.delete(reason);
		return due.map(([reason, time]) => missingRecord(reason, time));
	}
}
