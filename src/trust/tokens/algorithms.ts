/** Signature algorithms per key: a token never chooses how a key is used. */
import { RSA_ALGORITHMS } from "../../compile/access/users/tokenForm.js";

type Jwk = Readonly<Record<string, unknown>>;

const BY_CURVE: Readonly<Record<string, readonly string[]>> = {
	"EC P-256": ["ES256"],
	"EC P-384": ["ES384"],
	"EC P-521": ["ES512"],
	"OKP Ed25519": ["EdDSA"],
};

/** The algorithms allowed for a key of this kty, crv and alg; empty if it is no signature key. */
export function algorithmsOf({ kty, crv, alg }: Jwk): readonly string[] {
	const curve = `${String(kty)} ${String(crv)}`;
	const possible = kty === "RSA" ? RSA_ALGORITHMS : Object.hasOwn(BY_CURVE, curve) ? (BY_CURVE[curve] ?? []) : [];
	return alg === undefined ? possible : possible.filter((one) => one === alg);
}
