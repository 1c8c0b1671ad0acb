/** Verified tokens by the hash of the WHOLE token (CVE-2026-35039: a shorter key returned another user's claims). */

import * as crypto from "node:crypto";
import type { TokenAnswer } from "../../compile/access/users/token.js";
import type { Confirmation } from "../../compile/access/users/tokenClaims.js";
import type { TokenIssuer } from "../../declare/resources/resource.js";
import { TOKEN_SKEW_SECONDS, TOKENS_CACHED_BYTES_MAX, TOKENS_CACHED_MAX } from "../../limits/index.js";
import type { Keys, VerificationKey } from "./keys.js";

/** The key of a token: SHA-256 of all of it. In one call where Node has that (20.12): half the time. */
export const tokenHash: (token: string) => string =
	typeof crypto.hash === "function"
		? (token) => crypto.hash("sha256", token, "hex")
		: (token) => crypto.createHash("sha256").update(token).digest("hex");

/** One who may issue tokens, and where its keys are. */
export interface Issuer {
	readonly declared: TokenIssuer;
	readonly keys: Keys;
}

export interface HeldToken {
	readonly issuer: Issuer;
	readonly key: VerificationKey;
	/** NumericDate. */
	readonly exp: number;
	readonly bytes: number;
	/** Issuer and subject, as a hash. */
	readonly user: string;
	readonly confirmation: Confirmation | null;
	/** The same object each time: nothing is made for a token that is known. */
	readonly answer: NonNullable<TokenAnswer> & { readonly token: unknown };
}

/** Whether it may still be believed: not expired, and its key is one of the issuer's, as far as can be known. */
export function holds({ exp, key, issuer }: HeldToken, nowSeconds: number): boolean {
	return nowSeconds <= exp + TOKEN_SKEW_SECONDS && issuer.keys.serving() && key.live;
}

const NONE: readonly HeldToken[] = [];

/** A token is held once for each declaration that it was verified by: two Gateways may believe one issuer in two ways. */
export class TokenCache {
	/** The one put last is last. */
	readonly #held = new Map<string, readonly HeldToken[]>();
	#size = 0;
	#bytes = 0;

	constructor(
		private readonly max: number = TOKENS_CACHED_MAX,
		private readonly bytesMax: number = TOKENS_CACHED_BYTES_MAX,
	) {}

	get size(): number {
		return this.#size;
	}

	get(hash: string): readonly HeldToken[] {
		return this.#held.get(hash) ?? NONE;
	}

	/**
	 * The oldest leave where there are too many.
	 * @param isBelieved whether that declaration still is one
	 */
	put(hash: string, held: HeldToken, isBelieved: (issuer: Issuer) => boolean): void {
		const others = this.get(hash).filter(({ issuer }) => issuer !== held.issuer && isBelieved(issuer));
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

	#count(held: readonly HeldToken[], sign: 1 | -1): void {
		this.#size += sign * held.length;
		for (const { bytes } of held) this.#bytes += sign * bytes;
	}
}
