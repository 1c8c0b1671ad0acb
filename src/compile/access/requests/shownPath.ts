/**
 * A request's path as Weir keeps it, shows it and sends it on: in the decision log, shadow counts, `weir why` and spans. The
 * one place that says what of it is nobody's business: people (an @), tokens of compact form, also with a / for each dot,
 * and parameters of segments, which are cut as a query is. Other ids (numbers, names, opaque tokens) cannot be told from words, and stay.
 */
import { holdsToken, holdsTokenPart, LIKE_SIGNATURE } from "../users/tokenForm.js";

const MASK = "(masked)";
/** What a text that was too long ends with. */
export const CUT = "…";

/** Escapes within escapes; a segment with more is masked. */
const ESCAPES_MAX = 4;

/** Where a segment's parameters begin (RFC 3986 section 3.3), escaped or not. */
const PARAMETERS = /;|%(?:25)*3b/i;
/** Where a fragment begins, or a query or fragment that was escaped, once or again. */
const QUERY = /#|%(?:25)*(?:3f|23)/i;

/**
 * @param path a path or a URL, without query and fragment; what was masked before stays as it is
 * @returns with the segments masked that hold an @ or a token, what follows the first ; of the others, and all that follows an
 *   escaped ? or #: a / is part of a query
 */
export function shownPath(path: string): string {
	return cutAt(QUERY, path, (head) => {
		const segments = head.split("/");
		const query = segments.findIndex(hidesQuery);
		if (query < 0) return shownSegments(segments).join("/");
		return [...shownSegments(segments.slice(0, query)), MASK].join("/");
	});
}

/** Whether a query may begin there that is written in another way still. */
function hidesQuery(segment: string): boolean {
	if (!segment.includes("%")) return false;
	const plain = unescaped(segment);
	return plain === null || /[?#]/.test(plain);
}

/** Behind a part of a token, what is as long as a signature is one. */
function shownSegments(segments: readonly string[]): readonly string[] {
	let behind = false;
	return segments.map((segment) => {
		const shown = cutAt(PARAMETERS, segment, (head) =>
			mayBeShown(head) && !(behind && LIKE_SIGNATURE.test(head)) ? head : MASK,
		);
		behind ||= holdsTokenPart(unescaped(segment) ?? "");
		return shown;
	});
}

/** What comes before the delimiter as it is shown, and the rest masked. */
function cutAt(delimiter: RegExp, text: string, shown: (head: string) => string): string {
	const found = delimiter.exec(text);
	if (found === null) return shown(text);
	const [written] = found;
	return shown(text.slice(0, found.index)) + written + (text.length > found.index + written.length ? MASK : "");
}

function mayBeShown(text: string): boolean {
	// Most segments are words.
	if (!/[@%.]/.test(text)) return !holdsTokenPart(text);
	const plain = unescaped(text);
	return plain !== null && !/[@;?#]/.test(plain) && !holdsToken(plain) && !holdsTokenPart(plain);
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
