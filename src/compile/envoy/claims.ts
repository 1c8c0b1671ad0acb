/**
 * Claims as units where nobody judges users, so that no rule refuses a token: one that tokenRules.ts refuses elsewhere is
 * there as none. jwt_authn has put its claims into headers already and takes the faults of those rules for none, so the
 * same rules are tried, and where they refuse the headers go and the route is chosen anew. Only Lua can do that on
 * 1.36.2: it clears the route wherever it has changed a header (clear_route_cache), and header_mutation keeps it.
 */
import type { TokenIssuer } from "../../declare/resources/resource.js";
import { partName } from "../table/plan.js";
import type { Extension } from "./extension.js";
import { CLAIM_HEADER_PREFIX } from "./headers.js";
import { tokenRules } from "./tokenRules.js";

const RULES_FILTER = "weir.claims.rules";
const CLAIMS_FILTER = "weir.claims";

/** What names of the rules' results begin with, in statistics and in metadata. */
const SHADOW = "weir_claims_";
/** In RBAC's metadata: `denied` where a token does not hold. */
export const CLAIMS_RESULT = `${SHADOW}shadow_engine_result`;

/** Claims that a Service does not assign by go: behind the rules, before anything else is asked. */
const OTHERS_FILTER = "weir.claims.others";
/** Where a Service's own claim waits while all are taken away. Of x-weir-, so that no client has it. */
const KEPT_HEADER = "x-weir-kept-claim";

const MUTATION = "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3";
const RBAC = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC";
const LUA = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua";
const FILTER_CONFIG = "type.googleapis.com/envoy.config.route.v3.FilterConfig";

/**
 * The filter right behind the one that verifies tokens, which tells a token that holds from another; instead, none does.
 * @param gateway its qualified name
 */
export const claimRules = (gateway: string, issuers: readonly TokenIssuer[]): Extension => ({
	name: partName(RULES_FILTER, gateway),
	config: { "@type": RBAC, shadow_rules: denied(tokenRules(issuers)), shadow_rules_stat_prefix: SHADOW },
	instead: { "@type": RBAC, shadow_rules: denied(EVERY_TOKEN), shadow_rules_stat_prefix: SHADOW },
});

const denied = (policies: object): object => ({ action: "DENY", policies });
const EVERY_TOKEN = { every: { permissions: [{ any: true }], principals: [{ any: true }] } };

/** The filters behind it, which go by it. The same whatever the claims are, and so in the listener itself. */
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
 * By the names' beginning, so that none is left that comes with newer configuration of the filter before. A header is not taken
 * away while headers are walked.
 */
const TAKEN = `function envoy_on_request(handle)
  local said = handle:streamInfo():dynamicMetadata():get("envoy.filters.http.rbac")
  if said ~= nil and said["${CLAIMS_RESULT}"] == "allowed" then return end
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
 * typed_per_filter_config where tokens are verified and no user is judged. An empty config switches a filter on.
 * @param gateway its qualified name
 */
export const claimsPerRoute = (gateway: string): Record<string, object> =>
	Object.fromEntries(
		[partName(RULES_FILTER, gateway), CLAIMS_FILTER].map((name) => [name, { "@type": FILTER_CONFIG, config: {} }]),
	);

/**
 * typed_per_filter_config where tokens are verified: jwt_authn puts every claim that any Service behind the Gateway assigns by
 * into a header, here they go but for the Service's own. By the names' beginning, for a list of them in each virtual host
 * would grow with both. header_mutation knows no other "all but one" (RE2 has no lookahead).
 * @param own the header of the claim that the Service assigns by
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
