/**
 * How a token is written and signed: what Envoy's rules and the sidecar's parser must read alike. Patterns are such that
 * RE2 and JavaScript mean the same by them.
 */

const PART = "[A-Za-z0-9_-]";
const UNSIGNED = `${PART}+\\.${PART}+\\.`;

/** The compact form (RFC 7515 7.1). */
export const COMPACT_TOKEN = `${UNSIGNED}${PART}+`;

/** The compact form with a signature of so many bytes. */
export const compactTokenOf = (signatureBytes: number): string =>
	`${UNSIGNED}${PART}{${Math.ceil((signatureBytes * 4) / 3)}}`;

/** Somewhere in an Authorization header that speaks of a token, in whatever case. */
export const SPEAKS_OF_TOKEN = "(?:bearer|dpop)(?:[ \\t]|$)";

export const RSA_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] as const;

/** r and s, each as long as the curve's order (RFC 7518 3.4). jwt_authn takes zeros before each, and a byte behind. */
export const ECDSA_SIGNATURE_BYTES = { ES256: 64, ES384: 96, ES512: 132 } as const;

/** By Ed25519. */
export const ED_ALGORITHM = "EdDSA";

/** Asymmetric ones: with a public key an HMAC is no signature. */
export const ALGORITHMS: readonly string[] = [...RSA_ALGORITHMS, ...Object.keys(ECDSA_SIGNATURE_BYTES), ED_ALGORITHM];

/** How JSON objects begin in base64url, as far as three letters say it: `{"`, and `{` before white space. */
const JSON_MAY_BEGIN = /(?=ey[IJKLA]|ewo|ewk|ew0)/g;
/** Up to the colon behind its first name, or cut short behind that name or, in JSON_CUT, within it. */
const JSON_BEGINS = /^\{[ \t\r\n]*"(?:[^"\\]|\\[ -~])*"[ \t\r\n]*(?::|$)/;
const JSON_CUT = /^\{[ \t\r\n]*"(?:[ !#-[\]-~]|\\[ -~])*\\?$/;
/** What fewer letters stand for is printable in words, too, such as Journal. */
const CUT_BYTES_MIN = 8;
/** What is looked at of one: white space before its first name may be long, but nobody's is. */
const HEADER_CHARS_SEEN = 64;
/** And four characters more: no header that names an algorithm is shorter. */
const HEADER_CHARS_MIN = 7;
/** Of the shortest signature that any algorithm makes, HS256's 32 bytes. */
const SIGNATURE_CHARS_MIN = 43;
/** As long as one: what stands behind a part of a token is taken for another part of it. */
export const LIKE_SIGNATURE = new RegExp(`${PART}{${SIGNATURE_CHARS_MIN},}`);

/**
 * Whether a text holds a token of compact form somewhere, JWS or JWE (RFC 7515 and 7516, section 3.1), also one that is cut
 * short or unsigned: a header in base64url before a dot, or just three or five parts of which the third is as long as a
 * signature. `app.min.js` and `v1.2.3` are neither, and an opaque token cannot be told from any other id. In time that
 * grows with the text alone.
 */
export function holdsToken(text: string): boolean {
	return text.split(/[^A-Za-z0-9_.-]+/).some((run) => {
		const parts = run.split(".");
		if (parts.slice(0, -1).some(holdsHeader)) return true;
		const [header, payload, signature] = parts;
		if (parts.length !== 3 && parts.length !== 5) return false;
		return header !== "" && payload !== "" && (signature?.length ?? 0) >= SIGNATURE_CHARS_MIN;
	});
}

/** Whether a JSON object begins in base64url somewhere in the text: the header or the claims of a token, by themselves. */
export const holdsTokenPart = (text: string): boolean => text.split(/[^A-Za-z0-9_-]+/).some(holdsHeader);

/** Words hold the letters by which JSON begins, such as framework and surveyJournal: what they stand for is looked at. */
function holdsHeader(part: string): boolean {
	return [...part.matchAll(JSON_MAY_BEGIN)].some(({ index }) => {
		if (part.length - index < HEADER_CHARS_MIN) return false;
		const seen = Buffer.from(part.slice(index, index + HEADER_CHARS_SEEN), "base64url").toString("latin1");
		return JSON_BEGINS.test(seen) || (seen.length >= CUT_BYTES_MIN && JSON_CUT.test(seen));
	});
}
