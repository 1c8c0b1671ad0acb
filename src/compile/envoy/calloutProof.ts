/**
 * The proof that a request was answered. Envoy takes two things for a "yes" that nobody said: an ext_proc stream that
 * ends cleanly before any message ("proceeds without consulting the server"), and a CheckResponse without a status,
 * even an empty one (code 0 is OK). Both were seen to pass on 1.36.2 and 1.40.0. So behind the filters that ask stands
 * one that wants the sidecar's own word, `verdict: allow` in the answer's metadata, and what lacks it gets 503.
 */
import { EXT_AUTHZ_NAMESPACE, METADATA_NAMESPACE } from "./calloutContext.js";

/** HTTP filter that lets pass what the sidecar has allowed in so many words. */
export const PROOF_FILTER = "weir.proof";

const RBAC = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC";
const RBAC_PER_ROUTE = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBACPerRoute";
const EXPRESSION = "type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter";
const STAT_PREFIX = "weir_proof_";

/** Name of the rule in Envoy's response details; no AccessPolicy can have it. */
const UNANSWERED = "(unanswered)";

/** Response code details of callouts that failed, and would not answer 503 by themselves. */
const FAILED = [
	`rbac_access_denied_matched_policy[${UNANSWERED}]`,
	"ext_authz_invalid",
	"ext_proc_error_per-message_timeout_exceeded",
];

/** On unless a virtual host switches it off, as the filter that carries a verdict, whose answer it wants. */
export const proofFilter = (): object => ({
	name: PROOF_FILTER,
	typed_config: { "@type": RBAC, ...proofIn(EXT_AUTHZ_NAMESPACE) },
});

/** typed_per_filter_config of a Service that may pass unanswered, or is never asked about. */
export const noProof = (): Record<string, object> => ({ [PROOF_FILTER]: { "@type": RBAC_PER_ROUTE } });

/** typed_per_filter_config of a Service that ext_proc asks about. */
export const processProof = (): Record<string, object> => ({
	[PROOF_FILTER]: { "@type": RBAC_PER_ROUTE, rbac: proofIn(METADATA_NAMESPACE) },
});

/** Nobody but the filter of that namespace writes there: no client, no upstream. */
function proofIn(namespace: string): object {
	const matcher = { filter: namespace, path: [{ key: "verdict" }], value: { string_match: { exact: "allow" } } };
	const said = { sourced_metadata: { metadata_matcher: matcher, metadata_source: "DYNAMIC" } };
	return {
		rules: {
			action: "DENY",
			policies: { [UNANSWERED]: { permissions: [{ any: true }], principals: [{ not_id: said }] } },
		},
		rules_stat_prefix: STAT_PREFIX,
	};
}

/**
 * Mappers of local_reply_config: what is no verdict answers 503. RBAC says 403, as if somebody had judged; ext_authz says 500 to
 * an answer that changes what it may not, and ext_proc 504 to a late one; neither has a setting for it.
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
