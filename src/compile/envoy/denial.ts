/**
 * Maps Envoy's own denials to the reason codes of every execution, by response_code_details and the rule names in them. The
 * inverse of the rule names in accessControl.ts, canonical.ts, tokenRules.ts and calloutProof.ts.
 */

export type DenialReason =
	| "forbidden"
	| "no-policy-allows"
	| "invalid-token"
	| "not-canonical"
	| "no-single-identity"
	| "rate-limited"
	| "loop-detected"
	| "upgrade-refused"
	| "unanswered";

export interface Denial {
	readonly reason: DenialReason;
	/** Qualified name of the AccessPolicy that denies; null = no policy. */
	readonly policy: string | null;
}

/** Prefix of built-in RBAC rules; in response details Envoy writes `_` for a space. */
const BUILT_IN: readonly (readonly [begin: string, DenialReason])[] = [
	["(not_canonical", "not-canonical"],
	["(ambiguous_path", "not-canonical"],
	["(no_single_identity", "no-single-identity"],
	["(invalid_token", "invalid-token"],
	["(unanswered", "unanswered"],
	["(loop", "loop-detected"],
	["(WebSocket", "upgrade-refused"],
];

/**
 * Name prefix of rules that would refuse a request first if a Service's shadow policies were in force. Envoy tries rules in
 * name order, so before those about tokens.
 */
export const IN_FORCE_FIRST = "(gate) ";

const MATCHED = /^rbac_access_denied_matched_policy\[(.*)\]$/s;

/**
 * @param details Envoy's response_code_details
 * @returns null if no native rule refused the request: it was served, Envoy failed otherwise, or the sidecar refused it with
 * its reason in dynamic metadata
 */
export function denialOf(details: string): Denial | null {
	const rule = MATCHED.exec(details)?.[1];
	if (rule !== undefined) return ruleDenial(rule);
	if (details.startsWith("jwt_authn_access_denied")) return of("invalid-token");
	if (details === RATE_LIMITED) return of("rate-limited");
	if (details === UPGRADE_FAILED) return of("upgrade-refused");
	return null;
}

/** @param rule RBAC rule that refused, from response details or metadata; NO_RULE = no rule allowed the request */
export function ruleDenial(rule: string): Denial {
	if (rule === NO_RULE) return of("no-policy-allows");
	const name = (rule.startsWith(IN_FORCE_FIRST) ? rule.slice(IN_FORCE_FIRST.length) : rule).replaceAll(" ", "_");
	const known = BUILT_IN.find(([begin]) => name.startsWith(begin));
	if (known !== undefined) return of(known[1]);
	return { reason: "forbidden", policy: rule.startsWith("(") ? null : policyOf(rule) };
}

/** Envoy's name for no rule. A policy may have that name too. */
export const NO_RULE = "none";
/** The rule name of that policy, at its position in name order, in which Envoy takes the first match. */
const POLICY_NONE = "none(policy)";

/** Name of the RBAC rule of an AccessPolicy. */
export const ruleOf = (policy: string): string => (policy === NO_RULE ? POLICY_NONE : policy);

/** The inverse. */
export const policyOf = (rule: string): string => (rule === POLICY_NONE ? NO_RULE : rule);

/** Whether jwt_authn refused a token because no key of its issuer has its kid (or algorithm). */
export const namesUnknownKey = (details: string): boolean => details.startsWith(UNKNOWN_KEY);

const UNKNOWN_KEY = "jwt_authn_access_denied{Jwks_doesn't_have_key_to_match_kid_or_alg_from_Jwt";

const of = (reason: DenialReason): Denial => ({ reason, policy: null });

/** Response details of a local_ratelimit denial. */
export const RATE_LIMITED = "local_rate_limited";

/** Response details of an upgrade that a route or the listener does not allow (canonical.ts), before any filter. */
export const UPGRADE_FAILED = "upgrade_failed";
