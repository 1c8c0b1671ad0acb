/** Makes a client's error message safe to log, audit and report. Pure. */
import { TABLE_ERROR_CHARS_MAX } from "../../limits/index.js";

/** One line of limited length. Control characters and bidirectional marks become spaces. */
export const printableText = (text: string): string =>
	text.slice(0, TABLE_ERROR_CHARS_MAX).replace(/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]+/gu, " ");
