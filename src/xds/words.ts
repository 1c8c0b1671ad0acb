/**
 * A client's own words, as they are kept and told: in the log, the audit log, the report and for each closed Service. Each
 * of them would otherwise hold as much as one request may. Pure.
 */
import { TABLE_WORDS_CHARS_MAX } from "../limits.js";
import type { ClosedService } from "../rollout/ports.js";

/** One line for a person: what moves a terminal's cursor, or is six characters in JSON, is a space. */
export const toldWords = (words: string): string =>
	words.slice(0, TABLE_WORDS_CHARS_MAX).replace(/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]+/gu, " ");

/** Words of closed Services as far as they have room in one report; what is beyond it is told without. */
export class WordsLeft {
	constructor(private left: number) {}

	of(closed: readonly ClosedService[]): readonly ClosedService[] {
		return closed.map((one) => {
			this.left -= one.why.length;
			return this.left >= 0 || one.why === "" ? one : { ...one, why: "" };
		});
	}
}
