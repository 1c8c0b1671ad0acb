/** Verified tokens by the hash of the WHOLE token (CVE-2026-35039: a shorter key returned another user's claims). */

import * as crypto from "node:crypto";
import type { TokenAnswer } from "../../compile/access/users/token.js";
import type { Confirmation } from "../../compile/access/users/tokenClaims.js";
import type { TokenIssuer } from "../../declare/resources/resource.js";
import { TOKEN_SKEW_SECONDS } from "../../limits/index.js";
import type { Keys, VerificationKey } from "./keys.js";

/** Number and total size of cached tokens: about one token for each user of a busy Gateway. */
const TOKENS_CACHED_MAX = 20_000;
const TOKENS_CACHED_BYTES_MAX = 32 * 1024 * 1024;

/** SHA-256 of the whole token. crypto.hash (Node 20.12) takes half the time. */
export const tokenHash: (token: string) => string =
	typeof crypto.hash === "function"
		? (token) => crypto.hash("sha256", token, "hex")
		: (token) => crypto.createHash("sha256").update(token).digest("hex");

export interface Issuer {
	readonly declared: TokenIssuer;
	readonly keys: Keys;
}

export interface CachedToken {
	readonly issuer: Issuer;
	readonly key: VerificationKey;
	/** NumericDate. */
	readonly exp: number;
	readonly bytes: number;
	/** Issuer and subject, as a hash. */
	readonly user: string;
	readonly confirmation: Confirmation | null;
	/** Always the same object, so that a cache hit allocates nothing. */
	readonly answer: NonNullable<TokenAnswer> & { readonly token: unknown };
}

/** Whether the token is still valid: not expired, and its key is a current key of the issuer. */
export function isStillValid({ exp, key, issuer }: CachedToken, nowSeconds: number): boolean {
	return nowSeconds <= exp + TOKEN_SKEW_SECONDS && issuer.keys.serving() && key.live;
}

const NONE: readonly CachedToken[] = [];

/** Holds a token once per issuer declaration: two Gateways may declare one issuer differently. */
export class TokenCache {
	/** Oldest first. */
	readonly #held = new Map<string, readonly CachedToken[]>();
	#size = 0;
	#bytes = 0;

	constructor(
		private readonly max: number = TOKENS_CACHED_MAX,
		private readonly bytesMax: number = TOKENS_CACHED_BYTES_MAX,
	) {}

	get size(): number {
		return this.#size;
	}

	get(hash: string): readonly CachedToken[] {
		return this.#held.get(hash) ?? NONE;
	}

	/**
	 * Adds a token and evicts the oldest beyond the limits.
	 * @param isDeclared whether the issuer is still declared
	 */
	put(hash: string, held: CachedToken, isDeclared: (issuer: Issuer) => boolean): void {
		const others = this.get(hash).filter(({ issuer }) => issuer !== held.issuer && isDeclared(issuer));
		this.#delete(hash);
		this.#held.set(hash, [held, ...others]);
		this.#count([held, ...others], 1);
		for (const oldest of this.#held.keys()) {
			if (this.#size <= this.max && this.#bytes <= this.bytesMax) break;
			this.#delete(oldest);
		}
	}

	#delete(hash: string): void {
		this.#count(this.get(hash), -1);
		this.#held.delete(hash);
	}

	#count(held: readonly CachedToken[], sign: 1 | -1): void {
		this.#size += sign * held.length;
		for (const { bytes } of held) this.#bytes += sign * bytes;
	}
}
