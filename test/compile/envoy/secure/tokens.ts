/** Hand-made valid and invalid tokens for tests with Envoy. */
import { createPrivateKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";

export const ISSUER = "https://id.weir.test";
export const OTHER_ISSUER = "https://other.weir.test/tenant";
export const AUDIENCE = "weir";

export interface Minter {
	readonly jwks: object;
	/** A token of ISSUER that holds, changed by what is given; undefined takes a claim away. */
	token(claims?: object, header?: object): string;
	/** A token whose payload is this very text. */
	raw(payload: string, header?: object): string;
	/** Claims of a token that holds. */
	claims(more?: object): Readonly<Record<string, unknown>>;
}

/** @param nowMs wall clock */
export function createMinter(nowMs: number, kid = "k1"): Minter {
	const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
	const key = createPrivateKey(privateKey.export({ format: "pem", type: "pkcs8" }));
	const jwk = { ...publicKey.export({ format: "jwk" }), kid, alg: "ES256", use: "sig" };
	const seconds = Math.floor(nowMs / 1_000);
	const claims = (more: object = {}) => ({
		iss: ISSUER,
		aud: AUDIENCE,
		sub: "ann",
		iat: seconds,
		exp: seconds + 3_600,
		...more,
	});
	const raw = (payload: string, header: object = {}): string => signed(key, { alg: "ES256", kid, ...header }, payload);
	return {
		jwks: { keys: [jwk] },
		claims,
		raw,
		token: (more, header) => raw(JSON.stringify(claims(more)), header),
	};
}

function signed(key: KeyObject, header: object, payload: string): string {
	const text = `${Buffer.from(JSON.stringify(header)).toString("base64url")}.${Buffer.from(payload).toString("base64url")}`;
	const signature = sign("sha256", Buffer.from(text), { key, dsaEncoding: "ieee-p1363" });
	return `${text}.${signature.toString("base64url")}`;
}
