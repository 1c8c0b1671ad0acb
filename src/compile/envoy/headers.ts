/**
 * The names by which Envoy, the sidecar, upstreams and clients speak of an assignment. All begin with `x-weir-`:
 * what a client sends under that prefix is taken away before routing, so what is there later is Weir's. And that of a trace.
 */

export const WEIR_HEADER_PREFIX = "x-weir-";

/**
 * The prefix as clients may write it: CGI, WSGI and their kin make `_` of `-`, so an upstream of that kind could not
 * tell `x_weir_arm` from Weir's own.
 */
export const WEIR_HEADER_SPELLINGS: readonly string[] = [WEIR_HEADER_PREFIX, "x_weir_", "x_weir-", "x-weir_"];

/** W3C Trace Context. */
export const TRACE_HEADER = "traceparent";

/** Names the arm to the upstream (request) and, where the Gateway says so, to the client (response). */
export const ARM_HEADER = "x-weir-arm";

/** The Variant that the sidecar chose: the routes of a Service in callout match on it. */
export const VARIANT_HEADER = "x-weir-variant";

/**
 * The client's x-forwarded-client-cert as it came, where a Gateway has trusted proxies: Envoy puts its own word into that
 * header. For the sidecar alone, which believes it of such a proxy.
 */
export const FORWARDED_CERT_HEADER = "x-weir-forwarded-cert";

/** Parameters of an arm, for the upstream. */
export const parameterHeader = (name: string): string => `x-weir-param-${name}`;

/** Of the headers in which jwt_authn puts claims; a parameter's header begins otherwise. */
export const CLAIM_HEADER_PREFIX = "x-weir-claim-";

/**
 * The header in which Envoy's jwt_authn puts a claim of a verified token. Names of claims are case-sensitive, those
 * of headers are not: what is no lower-case letter or digit becomes a hyphen and two hex digits.
 */
export function claimHeader(claim: string): string {
	const name = claim.replace(/[^a-z0-9]/g, (char) => `-${char.charCodeAt(0).toString(16).padStart(2, "0")}`);
	return `${CLAIM_HEADER_PREFIX}${name}`;
}

/** The value of `x-weir-arm` for one Experiment; null = the unit is in no live arm of it. */
export const armValue = (experiment: string, arm: string | null): string => `${experiment}/${arm ?? "-"}`;
