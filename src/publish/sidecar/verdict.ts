/** Verdicts of the sidecar: of rules, and those before any rule is evaluated. */
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
			/** The issuer has no usable key here. */
			readonly keyless?: true;
	  };

export const OPEN: Verdict = { allowed: true, reason: "open", policy: null };
/** Envoy has already enforced the rules. */
export const BY_ENVOY: Verdict = { allowed: true, reason: "allowed", policy: null };
/** The Service is missing in the newest plan. */
export const GONE: Verdict = { allowed: false, reason: "no-policy-allows", policy: null };
export const NOT_CANONICAL: Verdict = { allowed: false, reason: "not-canonical", policy: null };
/** The Service's table is invalid. */
export const CLOSED: Verdict = { allowed: false, reason: "configuration-refused", policy: null };
export const VERIFICATION_LIMITED: Verdict = { allowed: false, reason: "verification-limited", policy: null };

/** The refusals of an invalid token and of one without issuer keys: the same for the client. */
export interface InvalidToken {
	readonly verdict: Verdict;
	readonly keyless: Verdict;
}

/** One header for all schemes, because a denial's header is overwritten, not appended. */
const invalidTokenBy = (...schemes: readonly string[]): InvalidToken => {
	const challenge = schemes.map((scheme) => `${scheme} error="invalid_token"`).join(", ");
	const verdict: Verdict = { allowed: false, reason: "invalid-token", policy: null, challenge };
	return { verdict, keyless: { ...verdict, keyless: true } };
};
const [BEARER, DPOP, EITHER] = [invalidTokenBy("Bearer"), invalidTokenBy("DPoP"), invalidTokenBy("Bearer", "DPoP")];

/** An invalid DPoP proof, with the allowed algorithms: the client then makes a new proof (RFC 9449 7.1). */
export const INVALID_PROOF: Verdict = {
	...{ allowed: false, reason: "invalid-token", policy: null },
	challenge: `DPoP error="invalid_dpop_proof", algs="${ALGORITHMS.join(" ")}"`,
};

/** The refusal that offers the token schemes of these issuers (RFC 6750 3, RFC 9449 7.1). */
export function invalidToken(issuers: readonly Pick<TokenIssuer, "binding">[]): InvalidToken {
	if (issuers.every(({ binding }) => binding === "none" || binding === "mtls")) return BEARER;
	return issuers.every(({ binding }) => binding === "dpop") ? DPOP : EITHER;
}
