/** An identity provider for tests: its keys in a file, and tokens signed by them. */
import { writeFileSync } from "node:fs";
import { exportJWK, generateKeyPair, SignJWT } from "jose";

export const ISSUER = "https://id.test";
export const AUDIENCE = "models";

type PrivateKey = Awaited<ReturnType<typeof generateKeyPair>>["privateKey"];

export interface Provider {
	readonly jwksFile: string;
	token(
		claims: Readonly<Record<string, unknown>>,
		more?: { readonly expiresIn?: number; readonly audience?: string },
	): Promise<string>;
}

/** The provider and a forger whose key is not in the file. */
export async function provider(jwksFile: string): Promise<Provider & { readonly forger: Provider }> {
	const keys = await generateKeyPair("ES256");
	const forged = await generateKeyPair("ES256");
	const jwk = { ...(await exportJWK(keys.publicKey)), kid: "k1", alg: "ES256", use: "sig" };
	writeFileSync(jwksFile, JSON.stringify({ keys: [jwk] }), { mode: 0o600 });
	const tokenBy =
		(key: PrivateKey): Provider["token"] =>
		(claims, { expiresIn = 300, audience = AUDIENCE } = {}) => {
			const now = Math.floor(Date.now() / 1_000);
			return new SignJWT({ ...claims })
				.setProtectedHeader({ alg: "ES256", kid: "k1", typ: "JWT" })
				.setIssuer(ISSUER)
				.setAudience(audience)
				.setIssuedAt(Math.min(now, now + expiresIn - 10))
				.setExpirationTime(now + expiresIn)
				.sign(key);
		};
	return {
		jwksFile,
		token: tokenBy(keys.privateKey),
		forger: { jwksFile, token: tokenBy(forged.privateKey) },
	};
}

export const tokensYaml = (jwksFile: string): string =>
	`  tokens: [{issuer: "${ISSUER}", audiences: [${AUDIENCE}], jwksFile: ${jwksFile}}]`;

export const bearer = (token: string): Readonly<Record<string, string>> => ({ authorization: `Bearer ${token}` });
