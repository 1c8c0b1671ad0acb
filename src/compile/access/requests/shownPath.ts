/**
 * Masks a request's path for storage, display and forwarding: in the access record log, shadow counts, `weir why` and spans.
 * It masks user names (an @), compact tokens, also with / for each dot, and the parameters of segments and queries.
 * Other ids (numbers, names, opaque tokens) look like ordinary text, and remain.
 */
import { holdsToken, holdsTokenPart, LIKE_SIGNATURE } from "../users/tokenForm.js";

const MASK = "(masked)";
/** The end of a truncated text. */
export const CUT = "…";

/** Nested escapes; a segment with more is masked. */
const ESCAPES_MAX = 4;

/** The start of a segment's parameters (RFC 3986 section 3.3), escaped or not. */
const PARAMETERS = /;|%(?:25)*3b/i;
/** The start of a fragment, or of an escaped query or fragment, also escaped twice. */
const QUERY = /#|%(?:25)*(?:3f|23)/i;

/**
 * @param path a path or a URL, without query and fragment; masked parts stay unchanged
 * @returns the path with masks for: segments with an @ or a token, the text after the first ; of others, and all text
 * after an escaped ? or #, because a query may contain /
 */
export function shownPath(path: string): string {
	return cutAt(QUERY, path, (head) => {
		const segments = head.split("/");
		const query = segments.findIndex(hidesQuery);
		if (query < 0) return shownSegments(segments).join("/");
		return [...shownSegments(segments.slice(0, query)), MASK].join("/");
	});
}

/** Whether a query may begin there in another encoding. */
function hidesQuery(segment: string): boolean {
	if (!segment.includes("%")) return false;
	const plain = unescaped(segment);
	return plain === null || /[?#]/.test(plain);
}

/** Masks the parts of tokens. A text as long as a signature is masked if it follows a part of a token. */
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

/** The masked form of the text before the delimiter, and a mask for the rest. */
function cutAt(delimiter: RegExp, text: string, shown: (head: string) => string): string {
	const found = delimiter.exec(text);
	if (found === null) return shown(text);
	const [written] = found;
	return shown(text.slice(0, found.index)) + written + (text.length > found.index + written.length ? MASK : "");
}

function mayBeShown(text: string): boolean {
	if (!/[@%.]/.test(text)) return !holdsTokenPart(text);
	const plain = unescaped(text);
	return plain !== null && !/[@;?#]/.test(plain) && !holdsToken(plain) && !holdsTokenPart(plain);
}

/** The text after any number of unescapes by a server; bytes beyond ASCII unchanged. null = too many. */
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

/** Whether a stored path is the requested one, as far as known: no part masked or truncated. */
export const isWholePath = (kept: string): boolean => !kept.includes(MASK) && !kept.endsWith(CUT);
