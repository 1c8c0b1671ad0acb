/** Proof of possession by a signed proof beside the token (RFC 9449 4.3). */
import { createHash } from "node:crypto";
import { calculateJwkThumbprint, compactVerify, importJWK, type JWK } from "jose";
import { DPOP_AGE_SECONDS } from "../limits.js";
import { readCompact } from "./compact.js";
import { publicKey } from "./publicKey.js";
import type { Replays } from "./replays.js";

export interface ProofQuestion {
	/** Each DPoP header apart. */
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

/** What can be seen without cryptography: the proof, or why it does not do. */
export function readProof(
	question: ProofQuestion,
): { readonly proof: string; readonly alg: string; readonly jwk: JWK; readonly jti: string } | string {
	const [proof = ""] = question.dpop;
	if (question.dpop.length !== 1) return "there must be exactly one proof";
	const read = readCompact(proof);
	if (read === null) return "the proof is no signed token";
	const { typ, alg, jwk, crit } = read.header;
	const { jti, htm, htu, iat, ath } = read.payload;
	if (typeof typ !== "string" || typ.toLowerCase() !== "dpop+jwt") return "the proof's typ is not dpop+jwt";
	if (crit !== undefined) return "the proof's crit names extensions";
	if (typeof jwk !== "object" || jwk === null || Array.isArray(jwk)) return "the proof has no key";
	if (typeof jti !== "string" || jti === "") return "the proof's jti is missing";
	if (htm !== question.method) return "the proof is for another method";
	if (typeof htu !== "string" || !sameTarget(htu, question.url)) return "the proof is for another address";
	if (typeof iat !== "number" || Math.abs(question.nowSeconds - iat) > DPOP_AGE_SECONDS)
		return "the proof is not of now";
	if (ath !== createHash("sha256").update(question.token).digest("base64url")) return "the proof is for another token";
	// Last, as it costs most.
	const key = publicKey(jwk as Record<string, unknown>);
	if (typeof key === "string" || typeof alg !== "string" || !key.algorithms.includes(alg))
		return "the proof's alg is not one of its public key's";
	return { proof, alg, jwk: { ...key.jwk }, jti };
}

/** null = the proof holds, and is used up. Never rejects. */
export async function proofFault(question: ProofQuestion, replays: Replays): Promise<string | null> {
	const read = readProof(question);
	if (typeof read === "string") return read;
	const { proof, alg, jwk, jti } = read;
	try {
		if ((await calculateJwkThumbprint(jwk, "sha256")) !== question.jkt) return "the token is bound to another key";
		await compactVerify(proof, await importJWK(jwk, alg), { algorithms: [alg] });
	} catch {
		return "the proof's signature does not hold";
	}
	// Only what its holder has signed is remembered: nobody else can fill the memory, or use up another's proof.
	const id = createHash("sha256").update(`${question.jkt}.${jti}`).digest("base64url");
	const taken = replays.take(id, question.monotonicMs);
	if (taken === "first") return null;
	return taken === "again" ? "the proof was used before" : "too many proofs are remembered";
}

/**
 * RFC 9449 4.3: without query and fragment, after the normalisation of RFC 3986 6.2.2 and 6.2.3. Gateways of ours take the
 * port off the host before it is judged; then the proof's port is not looked at.
 */
function sameTarget(htu: string, url: string): boolean {
	if (!URL.canParse(htu) || !URL.canParse(url)) return false;
	const [one, other] = [new URL(htu), new URL(url)];
	return (
		one.protocol === other.protocol &&
		(other.port === "" ? one.hostname === other.hostname : one.host === other.host) &&
		one.username === "" &&
		one.password === "" &&
		one.pathname === other.pathname
	);
}
