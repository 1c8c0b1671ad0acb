/** An issuer in the test's process: its keys, its JWKS as bytes that a test may change, and tokens of every wrong kind. */
import { createHash, randomUUID } from "node:crypto";
import { exportJWK, generateKeyPair, type JWK, SignJWT } from "jose";
import type { TokenAnswer, TokenQuestion } from "../../../src/compile/access/users/token.js";
import type { TokenIssuer } from "../../../src/declare/resources/resource.js";
import { TokenVerifier, type VerifierOptions } from "../../../src/trust/tokens/verifier.js";

export const ISSUER = "https://issuer.test";
export const AUDIENCE = "https://mesh.test";
/** The test's wall clock, in seconds. */
export const NOW = 1_800_000_000;

export type Pair = Awaited<ReturnType<typeof generateKeyPair>>;

export const keyPair = (alg = "ES256"): Promise<Pair> => generateKeyPair(alg, { extractable: true });

export async function publicJwk({ publicKey }: Pair, members: JWK = {}): Promise<JWK> {
	return { ...(await exportJWK(publicKey)), ...members };
}

export const issuerOf = (fields: Partial<TokenIssuer> = {}): TokenIssuer => ({
	issuer: ISSUER,
	audiences: [AUDIENCE],
	keys: { from: "file", file: "unused" },
	profile: "jwt",
	maxLifetimeMs: 3_600_000,
	binding: "none",
	groupsClaim: "groups",
	tenantClaim: "org.tenant",
	purposeClaim: "purpose",
	...fields,
});

export const CLAIMS = { iss: ISSUER, aud: AUDIENCE, sub: "ann", iat: NOW, exp: NOW + 600 };

/** A token with these claims, signed by the header's algorithm. */
export function signed(
	claims: Readonly<Record<string, unknown>>,
	{ privateKey }: Pair,
	header: Readonly<Record<string, unknown>> = {},
): Promise<string> {
	const full = { alg: "ES256", kid: "k1", ...header };
	return new SignJWT(claims).setProtectedHeader(full as { alg: string }).sign(privateKey, { crit: {} });
}

export const segment = (text: string | Buffer | object): string =>
	(Buffer.isBuffer(text) ? text : Buffer.from(typeof text === "string" ? text : JSON.stringify(text))).toString(
		"base64url",
	);

/** A token of exactly these bytes, with a valid ES256 signature. */
export async function signedText(header: string, payload: string | Buffer, { privateKey }: Pair): Promise<string> {
	const input = `${segment(header)}.${segment(payload)}`;
	const signature = await crypto.subtle.sign(
		{ name: "ECDSA", hash: "SHA-256" },
		privateKey as Parameters<typeof crypto.subtle.sign>[1],
		Buffer.from(input),
	);
	return `${input}.${Buffer.from(signature).toString("base64url")}`;
}

export function asked(token: string | null, fields: Partial<TokenQuestion> = {}): TokenQuestion {
	return {
		gateway: "gw",
		authorization: token === null ? [] : [`Bearer ${token}`],
		dpop: [],
		method: "GET",
		url: "https://mesh.test/v2",
		certificateThumbprint: null,
		payer: "spiffe://weir.test/web",
		neverAllowed: () => false,
		...fields,
	};
}

export interface ProofFields {
	readonly claims?: Readonly<Record<string, unknown>>;
	readonly header?: Readonly<Record<string, unknown>>;
	readonly signWith?: Pair;
}

/** A DPoP proof by that key for GET https://mesh.test/v2 and the token. */
export async function proofOf(
	pair: Pair,
	token: string,
	{ claims, header, signWith }: ProofFields = {},
): Promise<string> {
	const ath = createHash("sha256").update(token).digest("base64url");
	const own = { jti: randomUUID(), htm: "GET", htu: "https://mesh.test/v2", iat: NOW, ath, ...claims };
	return signed(own, signWith ?? pair, { kid: undefined, typ: "dpop+jwt", jwk: await publicJwk(pair), ...header });
}

/** A verifier over one key set; the test controls its clocks and its loads. */
export class Scene {
	nowSeconds = NOW;
	monotonicMs = 0;
	loads = 0;
	keys: () => Promise<Uint8Array> | Uint8Array;
	readonly verifier: TokenVerifier;

	constructor(
		jwks: readonly JWK[] | Scene["keys"],
		issuers: readonly TokenIssuer[] = [issuerOf()],
		options: VerifierOptions = {},
	) {
		this.keys = typeof jwks === "function" ? jwks : () => jwksBytes(jwks);
		this.verifier = new TokenVerifier({
			nowMs: () => this.nowSeconds * 1_000,
			monotonicMs: () => this.monotonicMs,
			load: () => async () => {
				this.loads++;
				return this.keys();
			},
			times: { fresh: 600_000, stale: 3_600_000, cooldown: 30_000 },
			...options,
		});
		this.verifier.use([{ name: "gw", issuers }]);
	}

	ask(token: string | null, fields: Partial<TokenQuestion> = {}): TokenAnswer | Promise<TokenAnswer> {
		return this.verifier.verify(asked(token, fields));
	}

	/** `ok SUBJECT`, `none`, or why it was refused. */
	async verify(token: string | null, fields: Partial<TokenQuestion> = {}): Promise<string> {
		const answer = await this.ask(token, fields);
		if (answer === null) return "none";
		return "token" in answer ? `ok ${answer.token.subject}` : `${answer.refused}: ${answer.why}`;
	}
}

export const jwksBytes = (keys: readonly JWK[]): Uint8Array => Buffer.from(JSON.stringify({ keys }));
