/** Parsers of compact signed tokens (RFC 7515 7.1) and of Authorization headers. They never throw. */
import { COMPACT_TOKEN, SPEAKS_OF_TOKEN } from "../../compile/access/users/tokenForm.js";
import { TOKEN_BYTES_MAX } from "../../limits/index.js";
import { strictObject } from "./strictJson.js";

export interface CompactToken {
	readonly header: Readonly<Record<string, unknown>>;
	readonly payload: Readonly<Record<string, unknown>>;
}

const COMPACT = new RegExp(`^${COMPACT_TOKEN}$`);

/** Header and payload, unverified; null if the text is no signed token in compact form. */
export function readCompact(text: string, bytesMax: number = TOKEN_BYTES_MAX): CompactToken | null {
	if (text.length > bytesMax) return null;
	if (!COMPACT.test(text)) return null;
	const [first = "", second = "", third = ""] = text.split(".");
	// A base64url text never has 4n + 1 characters.
	if (first.length % 4 === 1 || second.length % 4 === 1 || third.length % 4 === 1) return null;
	const header = strictObject(Buffer.from(first, "base64url"));
	if (header === null) return null;
	const payload = strictObject(Buffer.from(second, "base64url"));
	return payload === null ? null : { header, payload };
}

export interface ShownToken {
	readonly scheme: "Bearer" | "DPoP";
	readonly token: string;
}

const SPEAKS = new RegExp(SPEAKS_OF_TOKEN, "i");
const ONE_TOKEN = new RegExp(`^(Bearer|DPoP) (${COMPACT_TOKEN})$`);

/**
 * The token in a request's Authorization headers; null = none (other schemes belong to the service). "malformed": a token
 * scheme without exactly one token. Envoy enforces the same expressions in native form, because jwt_authn alone would
 * accept a token in almost any text.
 */
export function shownToken(authorization: readonly string[]): ShownToken | "malformed" | null {
	if (authorization.length === 0) return null;
	const joined = authorization.length === 1 ? (authorization[0] ?? "") : authorization.join(",");
	const match = joined.length > TOKEN_BYTES_MAX + 7 ? null : ONE_TOKEN.exec(joined);
	if (match === null) return SPEAKS.test(joined) ? "malformed" : null;
	const [, scheme, token = ""] = match;
	return token.length > TOKEN_BYTES_MAX ? "malformed" : { scheme: scheme as ShownToken["scheme"], token };
}
