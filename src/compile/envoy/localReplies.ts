/**
 * Local replies for Envoy's own denials: the same status and body as the sidecar's, by the reasons of denial.ts. The mappers
 * run only on local replies, so served requests cost nothing.
 */
import type { DenialReason } from "./denial.js";
import { RATE_LIMITED, UPGRADE_FAILED } from "./denial.js";

const EXPRESSION = "type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter";

/** Prefix of the response details of an RBAC denial. */
const RBAC = "rbac_access_denied_matched_policy[";

/** The first match wins, so `forbidden` is last: it matches any rule that is not built in. */
const DENIALS: readonly {
	readonly reason: Exclude<DenialReason, "unanswered">;
	readonly status: number;
	readonly when: string;
	readonly headers?: readonly object[];
}[] = [
	{
		reason: "invalid-token",
		status: 401,
		when: `${begins("jwt_authn_access_denied")} || ${begins(`${RBAC}(invalid_token`)}`,
		headers: [
			{
				header: { key: "www-authenticate", value: 'Bearer error="invalid_token"' },
				append_action: "OVERWRITE_IF_EXISTS_OR_ADD",
			},
		],
	},
	{ reason: "rate-limited", status: 429, when: `response.code_details == '${RATE_LIMITED}'` },
	{ reason: "upgrade-refused", status: 403, when: `response.code_details == '${UPGRADE_FAILED}'` },
	{ reason: "loop-detected", status: 508, when: begins(`${RBAC}(loop`) },
	{ reason: "not-canonical", status: 403, when: begins(`${RBAC}(not_canonical`) },
	{ reason: "no-single-identity", status: 403, when: begins(`${RBAC}(no_single_identity`) },
	{ reason: "no-policy-allows", status: 403, when: `response.code_details == '${RBAC}none]'` },
	{ reason: "forbidden", status: 403, when: `${begins(RBAC)} && !${begins(`${RBAC}(unanswered`)}` },
];

function begins(text: string): string {
	return `response.code_details.startsWith('${text}')`;
}

/** Mappers of local_reply_config. */
export const denialReplies = (): readonly object[] =>
	DENIALS.map(({ reason, status, when, headers = [] }) => ({
		filter: {
			extension_filter: { name: reason, typed_config: { "@type": EXPRESSION, expression: when } },
		},
		status_code: status,
		body: { inline_string: `access denied: ${reason}\n` },
		...(headers.length === 0 ? {} : { headers_to_add: headers }),
	}));
