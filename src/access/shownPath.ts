/**
 * A request's path as Weir keeps it, shows it and sends it on: in the decision log, shadow counts, `weir why` and spans. The
 * one place that says what of it is nobody's business: people (an @), tokens of compact form, and parameters of segments,
 * which are cut as a query is. Other ids (numbers, names, opaque tokens) cannot be told from words, and stay.
 */
import { holdsToken } from "./tokenForm.js";

const MASK = "(masked)";
/** What a text that was too long ends with. */
export const CUT = "…";

/** Escapes within escapes; a segment with more is masked. */
const ESCAPES_MAX = 4;

/** Where parameters begin (RFC 3986 section 3.3), or a query or fragment that was escaped, once or again. */
const PARAMETERS = /;|%(?:25)*(?:3b|3f|23)/i;

/**
 * @param path a path or a URL, without query and fragment; what was masked before stays as it is
 * @returns with the segments masked that hold an @ or a token, and what follows the first ; of the others
 */
export function shownPath(path: string): string {
	return path.split("/").map(shownSegment).join("/");
}

function shownSegment(segment: string): string {
	const found = PARAMETERS.exec(segment);
	const head = found === null ? segment : segment.slice(0, found.index);
	const shown = mayBeShown(head) ? head : MASK;
	if (found === null) return shown;
	const [delimiter] = found;
	return shown + delimiter + (segment.length > head.length + delimiter.length ? MASK : "");
}

function mayBeShown(text: string): boolean {
	// Most segments are words.
	if (!/[@%.]/.test(text)) return true;
	const plain = unescaped(text);
	return plain !== null && !/[@;?#]/.test(plain) && !holdsToken(plain);
}

/** Whatever a server may read there, however often it unescapes; bytes beyond ASCII as they are. null = it has no end. */
function unescaped(text: string): string | null {
	let plain = text;
	for (let times = 0; times < ESCAPES_MAX; times++) {
		const next = plain.replace(/%(?:25)*([0-9a-f]{2})/gi, (_, hex: string) =>
			String.fromCharCode(Number.parseInt(hex, 16)),
		);
		if (next === plain) return plain;
		plain = next;
	}
	return null;
}

/** Whether a path that was kept is the one that was asked for, as far as can be told: no part of it masked or cut. */
export const isWholePath = (kept: string): boolean => !kept.includes(MASK) && !kept.endsWith(CUT);
