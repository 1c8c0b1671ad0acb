/**
 * Rate limits of signature verifications. A payer is the caller's principal, else its address, and may stand for many users
 * (a front-end, a NAT). So a payer is charged for invalid signatures only, and a user with valid tokens is not blocked by
 * others behind the same payer.
 */
import { TOKENS_PENDING_MAX } from "../../limits/index.js";
import { Payers, type Rate } from "./payers.js";

/**
 * Failed signatures of one payer: burst, and per second. 0.13 ms of one core each for ES256, 0.3 ms for the largest RSA
 * keys, so 7 % of a core per payer, at most 15 %.
 */
export const TOKEN_FAILED = { burst: 500, perSecond: 500 } as const;

/** The same for a user with earlier valid tokens, when its payer's quota is used up. */
export const TOKEN_FAILED_USER = { burst: 20, perSecond: 1 } as const;

/** New valid tokens of one user: for a client that requests a token for each of its requests. */
export const TOKEN_USER = { burst: 200, perSecond: 100 } as const;

/** Valid DPoP proofs of one user, one for each request: a busy service's own token. */
export const DPOP_USER = { burst: 2_000, perSecond: 1_000 } as const;

/** Users with earlier valid tokens that are cached; the least recently seen is dropped. */
export const TOKEN_USERS_MAX = 20_000;

export interface AdmissionRates {
	/** Per payer: invalid signatures. */
	readonly failed: Rate;
	/** Per user with a valid token, once its payer's quota is used up: invalid signatures in its name. */
	readonly failedUser: Rate;
	/** Per user: new valid tokens, and valid proofs. */
	readonly token: Rate;
	readonly proof: Rate;
}

/** The quota that enter() has charged. */
export interface Pass {
	readonly what: "token" | "proof";
	readonly payer: string;
	readonly user: string;
	readonly by: "payer" | "user";
}

const RATES: AdmissionRates = {
	failed: TOKEN_FAILED,
	failedUser: TOKEN_FAILED_USER,
	token: TOKEN_USER,
	proof: DPOP_USER,
};

export class Admission {
	readonly #failed: Payers;
	readonly #failedUsers: Payers;
	/** Verified users only. */
	readonly #held: Readonly<Record<Pass["what"], Payers>>;
	/** Verifications in progress. */
	#pending = 0;

	constructor(rates: Partial<AdmissionRates> = {}) {
		const { failed, failedUser, token, proof } = { ...RATES, ...rates };
		this.#failed = new Payers(failed);
		this.#failedUsers = new Payers(failedUser, TOKEN_USERS_MAX);
		this.#held = { token: new Payers(token, TOKEN_USERS_MAX), proof: new Payers(proof, TOKEN_USERS_MAX) };
	}

	/**
	 * Call it before a verification.
	 * @param user of the token; unverified for a token, verified for a proof
	 * @returns the pass for leave(), or the reason of the refusal
	 */
	enter(what: Pass["what"], payer: string, user: string, monotonicMs: number): Pass | string {
		const held = this.#held[what];
		if (held.has(user) && held.level(user, monotonicMs) < 1) return "the user has had too many verified";
		if (this.#pending >= TOKENS_PENDING_MAX) return "too many are being verified";
		const by = this.#payer(what, payer, user, monotonicMs);
		if (by === null) return "the caller has sent too many invalid ones";
		this.#pending++;
		return { what, payer, user, by };
	}

	/** Call it after the verification: a valid signature is charged to the user, an invalid one to the payer. */
	leave(pass: Pass, holds: boolean, monotonicMs: number): void {
		this.#pending--;
		if (!holds) return;
		this.#refund(pass, monotonicMs);
		this.#held[pass.what].pay(pass.user, monotonicMs);
	}

	#payer(what: Pass["what"], payer: string, user: string, monotonicMs: number): Pass["by"] | null {
		if (this.#failed.pay(payer, monotonicMs)) return "payer";
		const isKnownUser = what === "proof" || this.#held.token.has(user);
		return isKnownUser && this.#failedUsers.pay(user, monotonicMs) ? "user" : null;
	}

	#refund({ by, payer, user }: Pass, monotonicMs: number): void {
		if (by === "payer") this.#failed.refund(payer, monotonicMs);
		else this.#failedUsers.refund(user, monotonicMs);
	}
}
