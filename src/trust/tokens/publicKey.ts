/**
 * Validates one JSON Web Key (RFC 7517). Accepts only keys that both the sidecar and Envoy accept: otherwise the two would
 * disagree on tokens, and Envoy would refuse a listener whose set has no key that it accepts.
 */
import { createHash, createPublicKey } from "node:crypto";
import { algorithmsOf } from "./algorithms.js";
import { isStrongEd25519Point } from "./ed25519Point.js";

/** RSA moduli: RFC 7518 3.3 requires at least 2,048. Envoy and Node accept up to 16,384, at a millisecond per signature. */
const RSA_MODULUS_BITS = { min: 2_048, max: 8_192 } as const;

export interface PublicKey {
	/** null = none; the key matches any kid. */
	readonly kid: string | null;
	readonly algorithms: readonly string[];
	/** Only the members of the key itself, sorted, in shortest form: equal keys have equal text. */
	readonly jwk: Readonly<Record<string, string>>;
	/** RFC 7638 with SHA-256, base64url. */
	readonly thumbprint: string;
}

/** Members of private and symmetric keys (RFC 7518 6.2.2, 6.3.2, 6.4). */
const SECRET = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] as const;

/** 3 and 65537: Envoy accepts no other (measured on 1.36, 1.38 and 1.40). */
const RSA_EXPONENTS: ReadonlySet<string> = new Set(["Aw", "AQAB"]);

/** Bytes of a coordinate, with leading zeros (RFC 7518 6.2.1.2, RFC 8037 2). */
const COORDINATE_BYTES: Readonly<Record<string, number>> = { "P-256": 32, "P-384": 48, "P-521": 66, Ed25519: 32 };

type Members = Readonly<Record<string, unknown>>;

/** Whether the key is not for verification, e.g. for encryption. */
export const isForSomethingElse = ({ use, key_ops: operations }: Members): boolean =>
	(use !== undefined && use !== "sig") ||
	(operations !== undefined && !(Array.isArray(operations) && operations.includes("verify")));

/** @returns the key, or why it is invalid, without key material. Never throws. */
export function publicKey(members: Members): PublicKey | string {
	const { kid } = members;
	if (SECRET.some((name) => Object.hasOwn(members, name))) return "it shows a private or symmetric key";
	if (isForSomethingElse(members)) return "its use or key_ops does not allow verification";
	if (kid !== undefined && typeof kid !== "string") return "its kid is no text";
	const algorithms = algorithmsOf(members);
	if (algorithms.length === 0) return "its kty, crv and alg match no supported algorithm";
	const jwk = members.kty === "RSA" ? rsaKey(members) : curveKey(members);
	if (typeof jwk === "string") return jwk;
	try {
		// Checks that points of the NIST curves are on the curve.
		createPublicKey({ key: { ...jwk }, format: "jwk" });
	} catch {
		return "it is no point of its curve";
	}
	const thumbprint = createHash("sha256").update(JSON.stringify(jwk)).digest("base64url");
	return { kid: kid || null, algorithms, jwk, thumbprint };
}

/** Strips leading zeros, which RFC 7518 2 forbids and some issuers write. */
function rsaKey({ n, e }: Members): PublicKey["jwk"] | string {
	const [modulus, exponent] = [bytesOf(n), bytesOf(e)].map(withoutZeros);
	const first = modulus?.[0];
	if (modulus == null || exponent == null || first === undefined) return "its n or e is no number in base64url";
	const bits = modulus.length * 8 - (Math.clz32(first) - 24);
	const { min, max } = RSA_MODULUS_BITS;
	if (bits < min || bits > max) return `its modulus has ${bits} bits, not ${min} to ${max}`;
	if (((modulus.at(-1) ?? 0) & 1) === 0) return "its modulus is even";
	const shortE = exponent.toString("base64url");
	if (!RSA_EXPONENTS.has(shortE)) return "its exponent is neither 65537 nor 3";
	return { e: shortE, kty: "RSA", n: modulus.toString("base64url") };
}

function curveKey({ kty, crv, x, y }: Members): PublicKey["jwk"] | string {
	const curve = String(crv);
	const point = kty === "EC" ? { x, y } : { x };
	for (const [name, value] of Object.entries(point)) {
		if (bytesOf(value)?.length !== COORDINATE_BYTES[curve])
			return `its ${name} is not ${COORDINATE_BYTES[curve]} bytes in base64url`;
	}
	const own = bytesOf(x);
	if (kty === "OKP" && (own === null || !isStrongEd25519Point(own)))
		return "it is no point of large order of its curve";
	return { crv: curve, kty: String(kty), ...(point as Readonly<Record<string, string>>) };
}

/** Strict base64url: no padding, no other alphabet, no spare bits (RFC 7515 2, RFC 4648 3.5). */
function bytesOf(value: unknown): Buffer | null {
	if (typeof value !== "string" || value === "") return null;
	const bytes = Buffer.from(value, "base64url");
	return bytes.toString("base64url") === value ? bytes : null;
}

function withoutZeros(bytes: Buffer | null): Buffer | null {
	const first = bytes?.findIndex((byte) => byte !== 0) ?? -1;
	return bytes === null || first === -1 ? null : bytes.subarray(first);
}
