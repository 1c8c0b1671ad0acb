/**
 * Proof that the sidecar answered a request. Envoy also allows a request without a verdict: if an ext_proc stream ends
 * cleanly before any message ("proceeds without consulting the server"), and on a CheckResponse without a status, even an
 * empty one (code 0 is OK). Both were observed on 1.36.2 and 1.40.0. So a filter after the callouts requires the sidecar's
 * `verdict: allow` in the answer's metadata, and answers 503 without it.
 */
import { EXT_AUTHZ_NAMESPACE, METADATA_NAMESPACE } from "./calloutContext.js";

/** HTTP filter that allows only requests with the sidecar's explicit verdict. */
export const PROOF_FILTER = "weir.proof";

const RBAC = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC";
const RBAC_PER_ROUTE = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBACPerRoute";
const EXPRESSION = "type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter";
const STAT_PREFIX = "weir_proof_";

/** Name of the rule in Envoy's response details; no AccessPolicy can have it. */
const UNANSWERED = "(unanswered)";

/** Response code details of failed callouts that would not answer 503 by themselves. */
const FAILED = [
	`rbac_access_denied_matched_policy[${UNANSWERED}]`,
	"ext_authz_invalid",
	"ext_proc_error_per-message_timeout_exceeded",
];

/** On unless a virtual host turns it off, like the verdict filter that it checks. */
export const proofFilter = (): object => ({
	name: PROOF_FILTER,
	typed_config: { "@type": RBAC, ...proofIn(EXT_AUTHZ_NAMESPACE) },
});

/** typed_per_filter_config of a Service that may be served without an answer, or never uses the sidecar. */
export const noProof = (): Record<string, object> => ({ [PROOF_FILTER]: { "@type": RBAC_PER_ROUTE } });

/** typed_per_filter_config of a Service that uses ext_proc. */
export const processProof = (): Record<string, object> => ({
	[PROOF_FILTER]: { "@type": RBAC_PER_ROUTE, rbac: proofIn(METADATA_NAMESPACE) },
});

/** Only the filter of that namespace writes there, no client and no upstream. */
function proofIn(namespace: string): object {
	const matcher = { filter: namespace, path: [{ key: "verdict" }], value: { string_match: { exact: "allow" } } };
	const allowed = { sourced_metadata: { metadata_matcher: matcher, metadata_source: "DYNAMIC" } };
	return {
		rules: {
			action: "DENY",
			policies: { [UNANSWERED]: { permissions: [{ any: true }], principals: [{ not_id: allowed }] } },
		},
		rules_stat_prefix: STAT_PREFIX,
	};
}

/**
 * Mappers of local_reply_config: a failed callout answers 503. RBAC would say 403, as for a verdict; ext_authz 500 for an
 * answer with a forbidden change, and ext_proc 504 for a late one. Neither has a setting for it.
 */
export const proofReplies = (): readonly object[] => [
	{
		filter: {
			extension_filter: {
				name: "unanswered",
				typed_config: {
					"@type": EXPRESSION,
					expression: `response.code_details in [${FAILED.map((details) => `'${details}'`).join(", ")}]`,
				},
			},
		},
		status_code: 503,
		body: { inline_string: "unavailable\n" },
	},
];
