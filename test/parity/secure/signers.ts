/**
 * The key set of the generated issuers and its signers: EC keys (each curve) and RSA keys, with an alg and without, two
 * with one kid each, as during a rotation, and one that is too weak.
 */
import { constants, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { LENGTHENED } from "../../compile/envoy/secure/lengthened.js";
import type { Minter } from "../../compile/envoy/secure/tokens.js";

/** @param header added to alg and kid, which it may replace @returns a token with that very payload */
export type Signer = (payload: string, header?: object) => string;

export interface Signers {
	readonly jwks: { readonly keys: readonly object[] };
	/** Tokens hold by each. */
	readonly good: readonly Signer[];
	/** What is wrong with what they sign, by name; the claims may be as good as any. */
	readonly bad: Readonly<Record<string, Signer>>;
}

interface Key {
	readonly jwk: object;
	readonly by: (alg: string) => Signer;
}

const encoded = (value: string): string => Buffer.from(value).toString("base64url");

/** RFC 7518 3.3 to 3.5. */
function signature(alg: string, key: KeyObject, text: string): string {
	const hash = `sha${alg.slice(2)}`;
	const scheme = alg.startsWith("ES")
		? ({ key, dsaEncoding: "ieee-p1363" } as const)
		: alg.startsWith("PS")
			? { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }
			: key;
	return sign(hash, Buffer.from(text), scheme).toString("base64url");
}

function keyOf({ privateKey, publicKey }: { privateKey: KeyObject; publicKey: KeyObject }, named: object): Key {
	return {
		jwk: { ...publicKey.export({ format: "jwk" }), ...named },
		by:
			(alg) =>
			(payload, header = {}) => {
				const { alg: _, ...own } = named as Readonly<Record<string, unknown>>;
				const text = `${encoded(JSON.stringify({ ...own, alg, ...header }))}.${encoded(payload)}`;
				return `${text}.${signature(alg, privateKey, text)}`;
			},
	};
}

const rsa = (named: object, modulusLength = 2_048): Key => keyOf(generateKeyPairSync("rsa", { modulusLength }), named);
const ec = (named: object, namedCurve = "P-256"): Key => keyOf(generateKeyPairSync("ec", { namedCurve }), named);

/** @param minter has the first key, `k1` */
export function createSigners(minter: Minter): Signers {
	const sameName = ec({ kid: "k1" });
	const p384 = ec({ kid: "p384", alg: "ES384" }, "P-384");
	const p521 = ec({ kid: "p521" }, "P-521");
	const bound = rsa({ kid: "r", alg: "RS256" });
	const free = rsa({ kid: "r" });
	const weak = rsa({ kid: "weak" }, 1_024);
	const foreign = rsa({ kid: "r" });
	const own = (minter.jwks as { readonly keys: readonly object[] }).keys;
	return {
		jwks: { keys: [...own, ...[bound, weak, sameName, free, p384, p521].map(({ jwk }) => jwk)] },
		good: [
			minter.raw,
			sameName.by("ES256"),
			p384.by("ES384"),
			p521.by("ES512"),
			bound.by("RS256"),
			...["RS256", "RS512", "PS256", "PS384"].map((alg) => free.by(alg)),
		],
		bad: {
			"RSA foreign": foreign.by("RS256"),
			"RSA foreign PS256": foreign.by("PS256"),
			"PS256 by a key for RS256": bound.by("PS256"),
			"RS512 by a key for RS256": bound.by("RS512"),
			"weak RSA": weak.by("RS256"),
			"RSA under an EC key's name": (payload, header) => free.by("RS256")(payload, { kid: "k1", ...header }),
			"EC under an RSA key's name": (payload, header) => sameName.by("ES256")(payload, { kid: "r", ...header }),
			"another alg than signed": (payload, header) => free.by("RS256")(payload, { alg: "PS256", ...header }),
			"RSA signature as ES256": (payload, header) => free.by("RS256")(payload, { alg: "ES256", ...header }),
			...Object.fromEntries(
				[sameName.by("ES256"), p384.by("ES384"), p521.by("ES512"), bound.by("RS256"), free.by("PS256")].flatMap(
					(signer, index) =>
						Object.entries(LENGTHENED).map(([what, longer]) => [
							`${what}, signer ${index}`,
							(payload: string, header?: object) => longer(signer(payload, header)),
						]),
				),
			),
		},
	};
}
