/** Proof of possession by a signed proof beside the token (RFC 9449 4.3). */
import { createHash } from "node:crypto";
import { calculateJwkThumbprint, compactVerify, importJWK, type JWK } from "jose";
import { DPOP_AGE_SECONDS, TOKEN_SKEW_SECONDS } from "../../limits/index.js";
import { readCompact } from "./compact.js";
import { publicKey } from "./publicKey.js";
import type { ProofMemory, Taken } from "./replays.js";

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

export interface ReadProof {
	readonly proof: string;
	readonly alg: unknown;
	readonly jwk: Readonly<Record<string, unknown>>;
	readonly jti: string;
}

/** What can be seen without cryptography: the proof, or why it does not do. */
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
	// RFC 9449 asks for neither, but what the client says holds (RFC 7519 section 4.1).
	if (typeof exp !== "number" || question.nowSeconds > exp + TOKEN_SKEW_SECONDS) return "the proof has expired";
	if (typeof nbf !== "number" || nbf > question.nowSeconds + TOKEN_SKEW_SECONDS) return "the proof is not yet valid";
	if (ath !== createHash("sha256").update(question.token).digest("base64url")) return "the proof is for another token";
	return { proof, alg, jwk: jwk as Record<string, unknown>, jti };
}

/** Why a proof does not do. */
export interface ProofFault {
	readonly why: string;
	/** What does not do: the proof; the token, which is another key's; or room, for it may hold and is not known to be remembered. */
	readonly what: "proof" | "token" | "room";
}

/** null = the proof holds, and is used up. Never rejects. */
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
	// Only what its holder has signed is remembered: nobody else can fill the memory, or use up another's proof.
	const id = createHash("sha256").update(`${jkt}.${jti}`).digest().toString("latin1", 0, 16);
	const taken = await memory.take(id, monotonicMs);
	return taken === "first" ? null : USED[taken];
}

const USED: Readonly<Record<Exclude<Taken, "first">, ProofFault>> = {
	again: { why: "the proof was used before", what: "proof" },
	full: { why: "too many proofs are remembered", what: "room" },
	unanswered: { why: "whether the proof was used before is not known in time", what: "room" },
};

/**
 * Before query and fragment, which nobody compares. URL reads more than a URI there: `https:a/b`, `https://a\b`, blanks. In paths
 * some clients write `|` and `^` as they are, as URL does.
 */
const HTTP_ADDRESS = /^https?:\/\/[\w.~!$&'()*+,;=:%@[\]-]+(\/[!-[\]-~]*)?$/i;

/**
 * RFC 9449 4.3: without query and fragment, after the normalisation of RFC 3986 6.2.2 and 6.2.3. Gateways of ours take the
 * port off the host before it is judged; then the proof's port is not looked at.
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

/** RFC 3986 6.2.2.1 and 6.2.2.2, which URL leaves undone: escapes in capitals, and none of unreserved characters. */
function normalPath({ pathname }: URL): string {
	return pathname.replace(/%[0-9A-Fa-f]{2}/g, (escaped) => {
		const char = String.fromCharCode(Number.parseInt(escaped.slice(1), 16));
		return /[A-Za-z0-9._~-]/.test(char) ? char : escaped.toUpperCase();
	});
}
