/**
 * End users, as access rules see them: a token that was verified. Who verifies is an adapter's business (tokens, or
 * Envoy's jwt_authn); these are the words in which they are told.
 */

/** A token whose signature, issuer, audience, times and binding were checked. */
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

/** What a request says of its user. */
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
	readonly stranger: () => boolean;
}

/** A question is valid only while it is asked: what of it may be needed later. */
export const kept = ({
	gateway,
	authorization,
	dpop,
	method,
	url,
	certificateThumbprint,
	payer,
	stranger,
}: TokenQuestion): TokenQuestion => ({
	gateway,
	authorization: [...authorization],
	dpop: [...dpop],
	method,
	url,
	certificateThumbprint,
	payer,
	stranger,
});

/**
 * null = the request carries no token. refused: it carries one that does not hold, whatever the rules say; `why` is for
 * logs and never holds any of the token. verification-limited: whether it holds was not looked at, as too much was asked.
 */
export type TokenAnswer =
	| null
	| { readonly token: VerifiedToken }
	| {
			readonly refused: "invalid-token" | "verification-limited";
			readonly why: string;
			/** The token may hold; the proof that came with it does not do. */
			readonly proof?: true;
			/** No token of that issuer holds here: there is no key of it to verify by. */
			readonly keyless?: true;
	  };

/** A port: at once where the token is known or there is none, else later. Never rejects. */
export type VerifyToken = (question: TokenQuestion) => TokenAnswer | Promise<TokenAnswer>;
