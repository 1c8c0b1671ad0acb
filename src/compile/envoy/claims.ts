/**
 * Claims as units of Services that do not judge users. There a token that tokenRules.ts rejects counts as missing, and no
 * request is refused. jwt_authn has already copied the claims into headers, without these rules. So the rules run as shadow
 * rules, and if they reject the token, the headers are removed and the route is chosen again. On 1.36.2 only Lua can do that:
 * it clears the route after a header change (clear_route_cache); header_mutation does not.
 */
import type { TokenIssuer } from "../../declare/resources/resource.js";
import { partName } from "../plan/compiledPlan.js";
import { CLAIM_HEADER_PREFIX } from "../plan/headers.js";
import type { Extension } from "./extension.js";
import { tokenRules } from "./tokenRules.js";

const RULES_FILTER = "weir.claims.rules";
const CLAIMS_FILTER = "weir.claims";

/** Prefix of the rules' results in statistics and metadata. */
const SHADOW = "weir_claims_";
/** In RBAC's metadata: `denied` if a token is invalid. */
export const CLAIMS_RESULT = `${SHADOW}shadow_engine_result`;

/** Removes claims that a Service does not assign by, after the rules and before any callout. */
const OTHERS_FILTER = "weir.claims.others";
/** Temporary name of a Service's own claim while all others are removed. Clients cannot send it: it begins with x-weir-. */
const KEPT_HEADER = "x-weir-kept-claim";

const MUTATION = "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3";
const RBAC = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC";
const LUA = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua";
const FILTER_CONFIG = "type.googleapis.com/envoy.config.route.v3.FilterConfig";

/**
 * Runs right after token verification and marks invalid tokens. The fallback treats every token as invalid.
 * @param gateway its qualified name
 */
export const claimRules = (gateway: string, issuers: readonly TokenIssuer[]): Extension => ({
	name: partName(RULES_FILTER, gateway),
	config: { "@type": RBAC, shadow_rules: denied(tokenRules(issuers)), shadow_rules_stat_prefix: SHADOW },
	fallback: { "@type": RBAC, shadow_rules: denied(EVERY_TOKEN), shadow_rules_stat_prefix: SHADOW },
});

const denied = (policies: object): object => ({ action: "DENY", policies });
const EVERY_TOKEN = { every: { permissions: [{ any: true }], principals: [{ any: true }] } };

/** The filters after it, which use its result. They do not depend on claims, so they are in the listener itself. */
export const claimFilters = (): readonly object[] => [
	{
		name: CLAIMS_FILTER,
		disabled: true,
		typed_config: { "@type": LUA, default_source_code: { inline_string: TAKEN } },
	},
	{
		name: OTHERS_FILTER,
		disabled: true,
		typed_config: { "@type": `${MUTATION}.HeaderMutation`, mutations: {} },
	},
];

/**
 * Removes headers by prefix, so that headers of a newer filter configuration are removed too. Lua cannot remove headers
 * during iteration.
 */
const TAKEN = `function envoy_on_request(handle)
  local rbac = handle:streamInfo():dynamicMetadata():get("envoy.filters.http.rbac")
  if rbac ~= nil and rbac["${CLAIMS_RESULT}"] == "allowed" then return end
  local claims = {}
  for name in pairs(handle:headers()) do
    if string.sub(name, 1, ${CLAIM_HEADER_PREFIX.length}) == "${CLAIM_HEADER_PREFIX}" then table.insert(claims, name) end
  end
  for _, name in ipairs(claims) do
    handle:headers():remove(name)
  end
end
`;

/**
 * typed_per_filter_config if tokens are verified and no user is judged. An empty config turns a filter on.
 * @param gateway its qualified name
 */
export const claimsPerRoute = (gateway: string): Record<string, object> =>
	Object.fromEntries(
		[partName(RULES_FILTER, gateway), CLAIMS_FILTER].map((name) => [name, { "@type": FILTER_CONFIG, config: {} }]),
	);

/**
 * typed_per_filter_config if tokens are verified. jwt_authn copies every claim that any Service of the Gateway assigns by
 * into a header; this removes all but the Service's own. By prefix, because a list in each virtual host would grow with both.
 * header_mutation has no other "all except one" (RE2 has no lookahead).
 * @param own header of the claim that the Service assigns by
 */
export function othersPerRoute(own: string | null): Record<string, object> {
	const move = (from: string, to: string) => ({
		append: { header: { key: to, value: `%REQ(${from})%` }, append_action: "OVERWRITE_IF_EXISTS_OR_ADD" },
	});
	const all = { remove_on_match: { key_matcher: { prefix: CLAIM_HEADER_PREFIX } } };
	const request_mutations =
		own === null ? [all] : [move(own, KEPT_HEADER), all, move(KEPT_HEADER, own), { remove: KEPT_HEADER }];
	return { [OTHERS_FILTER]: { "@type": `${MUTATION}.HeaderMutationPerRoute`, mutations: { request_mutations } } };
}
