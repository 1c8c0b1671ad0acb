/**
 * Times of which the decision log lacks records, each told by a record of its own once it is over, or has lasted for
 * MISSING_TOLD_MS: a flood of losses makes no flood of records.
 */
import { MISSING_NAMED_MAX, MISSING_OVER_MS, MISSING_TOLD_MS } from "../../limits.js";
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

interface Summed extends MissingTime {
	readonly reason: MissingReason;
	readonly whose: MissingOf;
}

/** Losses, counted one by one or times in which there may be some, summed up by reason and whose they are until they are told. */
export class MissingRecords {
	readonly #times = new Map<string, Summed>();

	add(reason: MissingReason, count: number, fromMs: number, untilMs: number, whose: MissingOf = NOBODYS): void {
		const own = keyOf(reason, whose);
		// Of so many at once it is told together.
		const isNamed = this.#times.has(own) || this.#times.size < MISSING_NAMED_MAX;
		const key = isNamed ? own : keyOf(reason, NOBODYS);
		const before = this.#times.get(key);
		this.#times.set(key, {
			reason,
			whose: isNamed ? whose : NOBODYS,
			fromMs: Math.min(fromMs, before?.fromMs ?? fromMs),
			untilMs: Math.max(untilMs, before?.untilMs ?? untilMs),
			count: count + (before?.count ?? 0),
		});
	}

	/** Whether one is counted that was not told yet; those of nobody in particular alone. */
	has(reason: MissingReason): boolean {
		return this.#times.has(keyOf(reason, NOBODYS));
	}

	/** When the first began that was not told yet; null = there is none. */
	get oldestMs(): number | null {
		const times = [...this.#times.values()];
		return times.length === 0 ? null : Math.min(...times.map(({ fromMs }) => fromMs));
	}

	/** @returns records of those that are to be told now; it counts them no more */
	take(nowMs: number, all: boolean): readonly DecisionRecord[] {
		const due = [...this.#times].filter(
			([, { fromMs, untilMs }]) => all || nowMs - untilMs >= MISSING_OVER_MS || nowMs - fromMs >= MISSING_TOLD_MS,
		);
		for (const [key] of due) this.#times.delete(key);
		return due.map(([, one]) => missingRecord(one.reason, one, one.whose));
	}
}

const keyOf = (reason: MissingReason, { gateway, principal }: MissingOf): string =>
	JSON.stringify([reason, gateway, principal]);
