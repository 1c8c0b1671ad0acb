/** End users as access rules see them: verified tokens. An adapter verifies them (tokens, or Envoy's jwt_authn). */

/** A token with checked signature, issuer, audience, times and binding. */
export interface VerifiedToken {
	readonly issuer: string;
	/** Claim sub; null = it has none, and is no user. */
	readonly subject: string | null;
	readonly claims: Readonly<Record<string, unknown>>;
	/** Out of the claims that the issuer's declaration names. */
	readonly groups: readonly string[];
	readonly tenants: readonly string[];
	readonly purposes: readonly string[];
}

/** The parts of a request that identify its user. */
export interface TokenQuestion {
	/** Gateway that it came through, by qualified name; null = an Envoy that is not ours: any issuer of the table. */
	readonly gateway: string | null;
	/** Each Authorization header apart. */
	readonly authorization: readonly string[];
	/** Each DPoP header apart (RFC 9449). */
	readonly dpop: readonly string[];
	readonly method: string;
	/** Scheme, host and path, without query and fragment: htu of a DPoP proof. */
	readonly url: string;
	/** SHA-256 of the caller's certificate in DER, base64url (RFC 8705 x5t#S256); null = none was shown. */
	readonly certificateThumbprint: string | null;
	/** Who pays for signatures that do not hold: the principal, else the source address. */
	readonly payer: string;
	/** Whether the rules refuse the caller with any token, so that no issuer need be asked for a key that is not known. */
	readonly neverAllowed: () => boolean;
}

/** A copy of the fields that are needed after the call, when the question is no longer valid. */
export const kept = ({
	gateway,
	authorization,
	dpop,
	method,
	url,
	certificateThumbprint,
	payer,
	neverAllowed,
}: TokenQuestion): TokenQuestion => ({
	gateway,
	authorization: [...authorization],
	dpop: [...dpop],
	method,
	url,
	certificateThumbprint,
	payer,
	neverAllowed,
});

/**
 * null = the request has no token. refused: its token is invalid, regardless of rules; `why` is for logs and has no part
 * of the token. verification-limited: not verified, because a quota was exceeded.
 */
export type TokenAnswer =
	| null
	| { readonly token: VerifiedToken }
	| {
			readonly refused: "invalid-token" | "verification-limited";
			readonly why: string;
			/** The token may be valid, but its proof of possession is not. */
			readonly proof?: true;
			/** No token of that issuer is valid here, because none of its keys is available. */
			readonly keyless?: true;
	  };

/** A port: synchronous for a cached or missing token, otherwise a promise. Never rejects. */
export type VerifyToken = (question: TokenQuestion) => TokenAnswer | Promise<TokenAnswer>;
