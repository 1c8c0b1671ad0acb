/** A client's error message, as it is logged, audited and reported. Pure. */
import { TABLE_ERROR_CHARS_MAX } from "../../limits/index.js";

/** One line for a person: what moves a terminal's cursor, or is six characters in JSON, is a space. */
export const toldWords = (words: string): string =>
	words.slice(0, TABLE_ERROR_CHARS_MAX).replace(/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]+/gu, " ");
