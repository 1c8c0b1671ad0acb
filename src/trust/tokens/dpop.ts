/** DPoP: proof of possession of a token's key (RFC 9449 4.3). */
import { createHash } from "node:crypto";
import { calculateJwkThumbprint, compactVerify, importJWK, type JWK } from "jose";
import { DPOP_AGE_SECONDS, TOKEN_SKEW_SECONDS } from "../../limits/index.js";
import { readCompact } from "./compact.js";
import { publicKey } from "./publicKey.js";
import type { ProofMemory, Taken } from "./replays.js";

export interface ProofQuestion {
	/** One entry for each DPoP header. */
	readonly dpop: readonly string[];
	readonly method: string;
	/** Scheme, host and path. */
	readonly url: string;
	readonly token: string;
	/** Thumbprint of the key that the token is bound to. */
	readonly jkt: string;
	readonly nowSeconds: number;
	readonly monotonicMs: number;
}

export interface ReadProof {
	readonly proof: string;
	readonly alg: unknown;
	readonly jwk: Readonly<Record<string, unknown>>;
	readonly jti: string;
}

/** Checks all except the signature. @returns the proof, or why it is invalid */
export function readProof(question: ProofQuestion): ReadProof | string {
	const [proof = ""] = question.dpop;
	if (question.dpop.length !== 1) return "there must be exactly one proof";
	const read = readCompact(proof);
	if (read === null) return "the proof is no signed token";
	const { typ, alg, jwk, crit } = read.header;
	const { jti, htm, htu, iat, ath, exp = question.nowSeconds, nbf = question.nowSeconds } = read.payload;
	if (typeof typ !== "string" || typ.toLowerCase() !== "dpop+jwt") return "the proof's typ is not dpop+jwt";
	if (crit !== undefined) return "the proof's crit names extensions";
	if (typeof jwk !== "object" || jwk === null || Array.isArray(jwk)) return "the proof has no key";
	if (typeof jti !== "string" || jti === "") return "the proof's jti is missing";
	if (htm !== question.method) return "the proof is for another method";
	if (typeof htu !== "string" || !sameTarget(htu, question.url)) return "the proof is for another address";
	if (typeof iat !== "number" || Math.abs(question.nowSeconds - iat) > DPOP_AGE_SECONDS)
		return "the proof is not of now";
	// RFC 9449 requires neither, but present claims must hold (RFC 7519 section 4.1).
	if (typeof exp !== "number" || question.nowSeconds > exp + TOKEN_SKEW_SECONDS) return "the proof has expired";
	if (typeof nbf !== "number" || nbf > question.nowSeconds + TOKEN_SKEW_SECONDS) return "the proof is not yet valid";
	if (ath !== createHash("sha256").update(question.token).digest("base64url")) return "the proof is for another token";
	return { proof, alg, jwk: jwk as Record<string, unknown>, jti };
}

export interface ProofFault {
	readonly why: string;
	/** What failed: the proof, the token (bound to another key), or the replay memory (`room`: full or unavailable). */
	readonly what: "proof" | "token" | "room";
}

/** Verifies the proof and marks it as used; null = valid. Never rejects. */
export async function proofFault(
	{ proof, alg, jwk, jti }: ReadProof,
	{ jkt, monotonicMs }: Pick<ProofQuestion, "jkt" | "monotonicMs">,
	memory: ProofMemory,
): Promise<ProofFault | null> {
	const fault = (why: string, what: ProofFault["what"] = "proof"): ProofFault => ({ why, what });
	try {
		const key = publicKey(jwk);
		if (typeof key === "string" || typeof alg !== "string" || !key.algorithms.includes(alg))
			return fault("the proof's alg is not one of its public key's");
		const own: JWK = { ...key.jwk };
		if ((await calculateJwkThumbprint(own, "sha256")) !== jkt)
			return fault("the token is bound to another key", "token");
		await compactVerify(proof, await importJWK(own, alg), { algorithms: [alg] });
	} catch {
		return fault("the proof's signature does not hold");
	}
	// Only proofs with a valid signature are remembered, so other clients cannot fill the memory or use up the proof.
	const id = createHash("sha256").update(`${jkt}.${jti}`).digest().toString("latin1", 0, 16);
	const use = await memory.take(id, monotonicMs);
	return use === "first" ? null : USED[use];
}

const USED: Readonly<Record<Exclude<Taken, "first">, ProofFault>> = {
	again: { why: "the proof was used before", what: "proof" },
	full: { why: "too many proofs are remembered", what: "room" },
	unanswered: { why: "whether the proof was used before is not known in time", what: "room" },
};

/**
 * htu without query and fragment. Stricter than the URL class, which accepts `https:a/b`, `https://a\b` and blanks. Paths
 * may have unescaped `|` and `^`, as some clients send them.
 */
const HTTP_ADDRESS = /^https?:\/\/[\w.~!$&'()*+,;=:%@[\]-]+(\/[!-[\]-~]*)?$/i;

/**
 * RFC 9449 4.3: without query and fragment, after the normalisation of RFC 3986 6.2.2 and 6.2.3. Our Gateways strip the
 * port from the host; then the port of the proof is ignored.
 */
function sameTarget(htu: string, url: string): boolean {
	const [address = ""] = htu.split(/[?#]/, 1);
	if (!HTTP_ADDRESS.test(address) || !URL.canParse(address) || !URL.canParse(url)) return false;
	const [one, other] = [new URL(address), new URL(url)];
	return (
		one.protocol === other.protocol &&
		(other.port === "" ? one.hostname === other.hostname : one.host === other.host) &&
		one.username === "" &&
		one.password === "" &&
		normalPath(one) === normalPath(other)
	);
}

/** RFC 3986 6.2.2.1 and 6.2.2.2, which URL does not do: upper-case escapes, and unreserved characters unescaped. */
function normalPath({ pathname }: URL): string {
	return pathname.replace(/%[0-9A-Fa-f]{2}/g, (escaped) => {
		const char = String.fromCharCode(Number.parseInt(escaped.slice(1), 16));
		return /[A-Za-z0-9._~-]/.test(char) ? char : escaped.toUpperCase();
	});
}
