/**
 * Who may have a signature verified now. A payer (a caller's principal, else its address) may stand for many users: a
 * front-end, or a network behind one address. So it pays for what does not hold only, and who is known as a user that
 * holds good tokens is not kept out by what others behind the same payer send.
 */
import {
	DPOP_USER,
	TOKEN_FAILED,
	TOKEN_FAILED_USER,
	TOKEN_USER,
	TOKEN_USERS_MAX,
	TOKENS_PENDING_MAX,
} from "../../limits/index.js";
import { Payers, type Rate } from "./payers.js";

export interface AdmissionRates {
	/** Of one payer: signatures that did not hold. */
	readonly failed: Rate;
	/** Of one user whose tokens have held, while its payer has none left: signatures in its name that did not hold. */
	readonly failedUser: Rate;
	/** Of one user: new tokens that held, and proofs that held. */
	readonly token: Rate;
	readonly proof: Rate;
}

/** What was taken on entering. */
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
	/** Holds verified users only. */
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
	 * Before the cryptography.
	 * @param user whose token it is; of a token that is not verified, whose it says it is. A proof's is verified
	 * @returns why not, or what leave() wants once it is known whether the signature holds
	 */
	enter(what: Pass["what"], payer: string, user: string, monotonicMs: number): Pass | string {
		const held = this.#held[what];
		if (held.has(user) && held.level(user, monotonicMs) < 1) return "the user has had too many verified";
		if (this.#pending >= TOKENS_PENDING_MAX) return "too many are being verified";
		const by = this.#payer(what, payer, user, monotonicMs);
		if (by === null) return "too many that did not hold came from the caller";
		this.#pending++;
		return { what, payer, user, by };
	}

	/** After it: what held costs its user one, what did not costs the payer. */
	leave(pass: Pass, holds: boolean, monotonicMs: number): void {
		this.#pending--;
		if (!holds) return;
		this.#refund(pass, monotonicMs);
		this.#held[pass.what].pay(pass.user, monotonicMs);
	}

	#payer(what: Pass["what"], payer: string, user: string, monotonicMs: number): Pass["by"] | null {
		if (this.#failed.pay(payer, monotonicMs)) return "payer";
		const known = what === "proof" || this.#held.token.has(user);
		return known && this.#failedUsers.pay(user, monotonicMs) ? "user" : null;
	}

	#refund({ by, payer, user }: Pass, monotonicMs: number): void {
		if (by === "payer") this.#failed.refund(payer, monotonicMs);
		else this.#failedUsers.refund(user, monotonicMs);
	}
}
