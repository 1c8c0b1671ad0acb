/** Verdicts as the sidecar gives them: those of the rules, and those given before any rule is asked. */
import type { Verdict as RuleVerdict } from "../../compile/access/rules/policy.js";
import { ALGORITHMS } from "../../compile/access/users/tokenForm.js";
import type { TokenIssuer } from "../../declare/resources/resource.js";

export type Verdict =
	| RuleVerdict
	| {
			readonly allowed: false;
			readonly reason: "not-canonical" | "verification-limited" | "configuration-refused";
			readonly policy: null;
	  }
	| {
			readonly allowed: false;
			readonly reason: "invalid-token";
			readonly policy: null;
			/** Value of www-authenticate. */
			readonly challenge: string;
			/** It could not hold, as there is no key of its issuer here. */
			readonly keyless?: true;
	  };

export const OPEN: Verdict = { allowed: true, reason: "open", policy: null };
/** Envoy has judged before it asked. */
export const BY_ENVOY: Verdict = { allowed: true, reason: "allowed", policy: null };
/** The newest plan has no such Service. */
export const GONE: Verdict = { allowed: false, reason: "no-policy-allows", policy: null };
export const NOT_CANONICAL: Verdict = { allowed: false, reason: "not-canonical", policy: null };
/** The Service's own table cannot be executed. */
export const CLOSED: Verdict = { allowed: false, reason: "configuration-refused", policy: null };
export const VERIFICATION_LIMITED: Verdict = { allowed: false, reason: "verification-limited", policy: null };

/** The refusal of a token, and of one that nobody here has keys for: alike for the client. */
export interface InvalidToken {
	readonly verdict: Verdict;
	readonly keyless: Verdict;
}

/** One line for all schemes: the header of a denial is overwritten, not appended to. */
const invalidTokenBy = (...schemes: readonly string[]): InvalidToken => {
	const challenge = schemes.map((scheme) => `${scheme} error="invalid_token"`).join(", ");
	const verdict: Verdict = { allowed: false, reason: "invalid-token", policy: null, challenge };
	return { verdict, keyless: { ...verdict, keyless: true } };
};
const [BEARER, DPOP, EITHER] = [invalidTokenBy("Bearer"), invalidTokenBy("DPoP"), invalidTokenBy("Bearer", "DPoP")];

/** A DPoP proof that does not do, and what it may be signed by: a client makes another one on that word (RFC 9449 7.1). */
export const INVALID_PROOF: Verdict = {
	...{ allowed: false, reason: "invalid-token", policy: null },
	challenge: `DPoP error="invalid_dpop_proof", algs="${ALGORITHMS.join(" ")}"`,
};

/** The refusal that offers the schemes by which these issuers' tokens may be shown (RFC 6750 3, RFC 9449 7.1). */
export function invalidToken(issuers: readonly Pick<TokenIssuer, "binding">[]): InvalidToken {
	if (issuers.every(({ binding }) => binding === "none" || binding === "mtls")) return BEARER;
	return issuers.every(({ binding }) => binding === "dpop") ? DPOP : EITHER;
}
