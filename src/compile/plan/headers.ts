/**
 * Headers that Envoy, the sidecar, upstreams and clients use for assignments and traces. Assignment headers begin with
 * `x-weir-`: client headers with that prefix are removed before routing, so later ones are Weir's.
 */

export const WEIR_HEADER_PREFIX = "x-weir-";

/**
 * The prefix as clients may write it: CGI, WSGI and similar turn `-` into `_`, so such an upstream could not distinguish
 * `x_weir_arm` from Weir's own.
 */
export const WEIR_HEADER_SPELLINGS: readonly string[] = [WEIR_HEADER_PREFIX, "x_weir_", "x_weir-", "x-weir_"];

/** W3C Trace Context. */
export const TRACE_HEADER = "traceparent";

/** The arm, for the upstream (request) and, if the Gateway declares it, for the client (response). */
export const ARM_HEADER = "x-weir-arm";

/** The Variant that the sidecar chose: routes of a Service in callout match it. */
export const VARIANT_HEADER = "x-weir-variant";

/**
 * The client's original x-forwarded-client-cert, if a Gateway has trusted proxies, since Envoy overwrites that header. Only
 * for the sidecar, which trusts it from such a proxy.
 */
export const FORWARDED_CERT_HEADER = "x-weir-forwarded-cert";

/** Digest of the model that the Variant serves now, for the predictor: it may hold several of one name. */
export const MODEL_HEADER = "x-weir-model";

/** Parameters of an arm, for the upstream. */
export const parameterHeader = (name: string): string => `x-weir-param-${name}`;

/** Prefix of headers for claims from jwt_authn; parameter headers begin otherwise. */
export const CLAIM_HEADER_PREFIX = "x-weir-claim-";

/**
 * The header for a claim of a verified token, set by Envoy's jwt_authn. Claim names are case-sensitive and header names are
 * not: a character other than a lowercase letter or digit becomes a hyphen and two hex digits.
 */
export function claimHeader(claim: string): string {
	const name = claim.replace(/[^a-z0-9]/g, (char) => `-${char.charCodeAt(0).toString(16).padStart(2, "0")}`);
	return `${CLAIM_HEADER_PREFIX}${name}`;
}

/** The value of `x-weir-arm` for one Experiment; null = the unit is in no live arm. */
export const armValue = (experiment: string, arm: string | null): string => `${experiment}/${arm ?? "-"}`;
