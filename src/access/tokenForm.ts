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

/** How JSON objects begin in base64url: `{"`, and `{` before white space. */
const JSON_BEGINS = /eyJ|eyA|ewo|ewk|ew0/;
/** And four characters more: no header that names an algorithm is shorter. */
const HEADER_CHARS_MIN = 7;
/** Of the shortest signature that any algorithm makes, HS256's 32 bytes. */
const SIGNATURE_CHARS_MIN = 43;

/**
 * Whether a text holds a token of compact form somewhere, JWS or JWE, also one that is cut short or unsigned: a header in
 * base64url before a dot, or three parts of which the last is as long as a signature. `app.min.js` and `v1.2.3` are neither,
 * and an opaque token cannot be told from any other id. In time that grows with the text alone.
 */
export function holdsToken(text: string): boolean {
	return text.split(/[^A-Za-z0-9_.-]+/).some((run) => {
		const parts = run.split(".");
		return parts.some((part, at) => {
			if (at === parts.length - 1) return false;
			const begins = part.search(JSON_BEGINS);
			if (begins >= 0 && part.length - begins >= HEADER_CHARS_MIN) return true;
			return part !== "" && parts[at + 1] !== "" && (parts[at + 2]?.length ?? 0) >= SIGNATURE_CHARS_MIN;
		});
	});
}
