/**
 * Claims as units: Envoy's jwt_authn verifies the tokens of the Gateway's issuers and puts each claim that an
 * Experiment assigns by into a header of ours. A token that is missing or does not verify gives no claim, so no unit:
 * who may call is not decided here.
 */
import type { TokenIssuer } from "../resources/resource.js";
import type { UnitTable } from "./plan.js";

export const TOKENS_FILTER = "weir.tokens";

/** Name of the one requirement: any issuer's token, or none. */
const CLAIMS = "claims";

/** Verified tokens kept per worker, so that a user's next request costs no signature check. */
const CACHED_TOKENS = 1_000;

const JWT_AUTHN = "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication";
const PER_ROUTE = "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig";

/** The filter, off unless a virtual host asks for it; none where no Experiment assigns by a claim. */
export function tokenFilters(issuers: readonly TokenIssuer[], units: readonly UnitTable[]): readonly object[] {
	const claims = new Map(units.flatMap((unit) => (unit.from === "claim" ? [[unit.header, unit.claim] as const] : [])));
	if (issuers.length === 0 || claims.size === 0) return [];
	const names = issuers.map((_, index) => `issuer-${index}`);
	return [
		{
			name: TOKENS_FILTER,
			disabled: true,
			typed_config: {
				"@type": JWT_AUTHN,
				providers: Object.fromEntries(issuers.map((issuer, index) => [names[index], provider(issuer, claims)])),
				requirement_map: {
					[CLAIMS]: {
						requires_any: {
							requirements: [...names.map((name) => ({ provider_name: name })), { allow_missing_or_failed: {} }],
						},
					},
				},
			},
		},
	];
}

function provider({ issuer, audiences, keys }: TokenIssuer, claims: ReadonlyMap<string, string>): object {
	return {
		issuer,
		audiences,
		local_jwks: { filename: keys.from === "file" ? keys.file : "" },
		// The Service sees the token as before.
		forward: true,
		require_expiration: true,
		jwt_cache_config: { jwt_cache_size: CACHED_TOKENS },
		claim_to_headers: [...claims].map(([header_name, claim_name]) => ({ header_name, claim_name })),
		// The route was chosen before the claim was known.
		clear_route_cache: true,
	};
}

/** typed_per_filter_config of a Service whose Experiments assign by a claim. */
export const claimsPerRoute = (unit: UnitTable | null): Record<string, object> =>
	unit?.from === "claim" ? { [TOKENS_FILTER]: { "@type": PER_ROUTE, requirement_name: CLAIMS } } : {};
