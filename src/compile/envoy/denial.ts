/**
 * Envoy's own denials in the words of every execution: response_code_details (and the names of our rules in them) to
 * reason codes. The inverse of the rule names in accessControl.ts, canonical.ts, tokenRules.ts and calloutProof.ts.
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
	/** Qualified name of the AccessPolicy that forbids; null = no policy did. */
	readonly policy: string | null;
}

/** What rules of RBAC that no AccessPolicy has begin with; in response details Envoy writes `_` for a blank. */
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
 * What names of rules begin with that would refuse a request before any other, were a Service's shadow policies in force: by name,
 * so Envoy tries them before those about tokens.
 */
export const IN_FORCE_FIRST = "(gate) ";

const MATCHED = /^rbac_access_denied_matched_policy\[(.*)\]$/s;

/**
 * @param details Envoy's response_code_details
 * @returns null where none of our native rules refused the request: it was served, Envoy failed otherwise, or the
 * sidecar refused it, which says why in dynamic metadata
 */
export function denialOf(details: string): Denial | null {
	const rule = MATCHED.exec(details)?.[1];
	if (rule !== undefined) return ruleDenial(rule);
	if (details.startsWith("jwt_authn_access_denied")) return of("invalid-token");
	if (details === RATE_LIMITED) return of("rate-limited");
	if (details === UPGRADE_FAILED) return of("upgrade-refused");
	return null;
}

/** @param rule of RBAC that refused, as response details or the request's metadata name it; NO_RULE = none let it pass */
export function ruleDenial(rule: string): Denial {
	if (rule === NO_RULE) return of("no-policy-allows");
	const name = (rule.startsWith(IN_FORCE_FIRST) ? rule.slice(IN_FORCE_FIRST.length) : rule).replaceAll(" ", "_");
	const known = BUILT_IN.find(([begin]) => name.startsWith(begin));
	if (known !== undefined) return of(known[1]);
	return { reason: "forbidden", policy: rule.startsWith("(") ? null : policyOf(rule) };
}

/** Envoy's word for no rule at all. A policy may have that name too. */
export const NO_RULE = "none";
/** Of that policy the rule: in the order of names, by which Envoy takes the first that matches, where its own would be. */
const POLICY_NONE = "none(policy)";

/** Name of the RBAC rule of an AccessPolicy. */
export const ruleOf = (policy: string): string => (policy === NO_RULE ? POLICY_NONE : policy);

/** The inverse. */
export const policyOf = (rule: string): string => (rule === POLICY_NONE ? NO_RULE : rule);

/** Whether jwt_authn refused a token for a kid (or an algorithm) that no key of its issuer has. */
export const namesUnknownKey = (details: string): boolean => details.startsWith(UNKNOWN_KEY);

const UNKNOWN_KEY = "jwt_authn_access_denied{Jwks_doesn't_have_key_to_match_kid_or_alg_from_Jwt";

const of = (reason: DenialReason): Denial => ({ reason, policy: null });

/** Details of what local_ratelimit refuses. */
export const RATE_LIMITED = "local_rate_limited";

/** And of an upgrade that a route or the listener does not take (canonical.ts), before any filter. */
export const UPGRADE_FAILED = "upgrade_failed";
