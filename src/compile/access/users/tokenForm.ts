/**
 * Encoding and signature of tokens, as both Envoy's rules and the sidecar's parser must read them. The patterns mean the
 * same in RE2 and JavaScript.
 */

const PART = "[A-Za-z0-9_-]";
const UNSIGNED = `${PART}+\\.${PART}+\\.`;

/** The compact form (RFC 7515 7.1). */
export const COMPACT_TOKEN = `${UNSIGNED}${PART}+`;

/** The compact form with a signature of this many bytes. */
export const compactTokenOf = (signatureBytes: number): string =>
	`${UNSIGNED}${PART}{${Math.ceil((signatureBytes * 4) / 3)}}`;

/** A token scheme anywhere in an Authorization header, in any case. */
export const SPEAKS_OF_TOKEN = "(?:bearer|dpop)(?:[ \\t]|$)";

export const RSA_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] as const;

/** r and s, each as long as the curve's order (RFC 7518 3.4). jwt_authn also accepts leading zeros and a trailing byte. */
export const ECDSA_SIGNATURE_BYTES = { ES256: 64, ES384: 96, ES512: 132 } as const;

/** The only supported curve is Ed25519. */
export const ED_ALGORITHM = "EdDSA";

/** Asymmetric only: an HMAC with a public key is no signature. */
export const ALGORITHMS: readonly string[] = [...RSA_ALGORITHMS, ...Object.keys(ECDSA_SIGNATURE_BYTES), ED_ALGORITHM];

/** The first three base64url characters of a JSON object: `{"`, or `{` before white space. */
const JSON_MAY_BEGIN = /(?=ey[IJKLA]|ewo|ewk|ew0)/g;
/** Up to the colon after its first name, or truncated after that name or, in JSON_CUT, within it. */
const JSON_BEGINS = /^\{[ \t\r\n]*"(?:[^"\\]|\\[ -~])*"[ \t\r\n]*(?::|$)/;
const JSON_CUT = /^\{[ \t\r\n]*"(?:[ !#-[\]-~]|\\[ -~])*\\?$/;
/** Fewer decoded characters are also printable for ordinary text such as Journal. */
const CUT_BYTES_MIN = 8;
/** How much of a header is decoded: long white space before its first name is not used in practice. */
const HEADER_CHARS_SEEN = 64;
/** Plus four characters: no header with an algorithm is shorter. */
const HEADER_CHARS_MIN = 7;
/** The shortest signature of any algorithm: HS256 with 32 bytes. */
const SIGNATURE_CHARS_MIN = 43;
/** A text as long as a signature. After a part of a token it counts as another part. */
export const LIKE_SIGNATURE = new RegExp(`${PART}{${SIGNATURE_CHARS_MIN},}`);

/**
 * Whether a text contains a compact token, JWS or JWE (RFC 7515 and 7516, section 3.1), also truncated or unsigned: a
 * base64url header before a dot, or three or five parts with a third part as long as a signature. Not `app.min.js` or
 * `v1.2.3`; opaque tokens cannot be recognised. Linear time.
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

/** Whether base64url JSON begins anywhere in the text: the header or the claims of a token. */
export const holdsTokenPart = (text: string): boolean => text.split(/[^A-Za-z0-9_-]+/).some(holdsHeader);

/** Words such as framework and surveyJournal contain these characters, so the decoded text is checked. */
function holdsHeader(part: string): boolean {
	return [...part.matchAll(JSON_MAY_BEGIN)].some(({ index }) => {
		if (part.length - index < HEADER_CHARS_MIN) return false;
		const seen = Buffer.from(part.slice(index, index + HEADER_CHARS_SEEN), "base64url").toString("latin1");
		return JSON_BEGINS.test(seen) || (seen.length >= CUT_BYTES_MIN && JSON_CUT.test(seen));
	});
}
