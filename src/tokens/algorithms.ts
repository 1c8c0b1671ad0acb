/** Signature algorithms, bound to keys: a token never chooses how a key is used. No HMAC, no none. */

type Jwk = Readonly<Record<string, unknown>>;

const RSA = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];
const BY_CURVE: Readonly<Record<string, readonly string[]>> = {
	"EC P-256": ["ES256"],
	"EC P-384": ["ES384"],
	"EC P-521": ["ES512"],
	"OKP Ed25519": ["EdDSA"],
};

export const ALGORITHMS: readonly string[] = [...RSA, ...Object.values(BY_CURVE).flat()];

/** Members of a public key, by type (RFC 7518 6): nothing else is handed on. */
const PUBLIC: Readonly<Record<string, readonly string[]>> = {
	RSA: ["n", "e"],
	EC: ["crv", "x", "y"],
	OKP: ["crv", "x"],
};

/** The algorithms that a key may be used with; none where it is no public key for signatures. */
export function algorithmsOf(jwk: Jwk): readonly string[] {
	const { kty, crv, alg, use, key_ops: operations } = jwk;
	// Whoever publishes a private key, or one for something else, has not published a key to verify with.
	if ("d" in jwk || "k" in jwk || (use !== undefined && use !== "sig")) return [];
	if (operations !== undefined && !(Array.isArray(operations) && operations.includes("verify"))) return [];
	const possible = kty === "RSA" ? RSA : (BY_CURVE[`${String(kty)} ${String(crv)}`] ?? []);
	return alg === undefined ? possible : possible.filter((one) => one === alg);
}

/** The key without anything but its public members. */
export function publicMembers(jwk: Jwk): Record<string, string> {
	const { kty } = jwk;
	const names = PUBLIC[String(kty)] ?? [];
	return Object.fromEntries([["kty", String(kty)], ...names.map((name) => [name, String(jwk[name])])]);
}
