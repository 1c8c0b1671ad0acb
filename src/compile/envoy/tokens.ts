/**
 * End-user tokens, verified by Envoy's jwt_authn. If a Service judges users, a present token must be valid, and its claims go
 * to metadata for RBAC (tokenMetadata.ts). Each claim that an Experiment assigns by goes to a header. If users are not
 * judged, a missing or invalid token has no claims (claims.ts), so no unit, and does not affect access.
 */

import type { TokenIssuer } from "../../declare/resources/resource.js";
import { KEYS_FETCH_MS, KEYS_RETRY_MS, KEYS_URL_MS, TOKEN_BYTES_MAX, TOKEN_SKEW_SECONDS } from "../../limits/index.js";
import { type EnvoyResource, type GatewayTable, partName, type UnitTable } from "../plan/compiledPlan.js";
import { claimFilters, claimRules, claimsPerRoute, othersPerRoute } from "./claims.js";
import { protoDuration } from "./duration.js";
import { discovered, type Extension, extensionResource } from "./extension.js";
import { EMPTY_KEY_SET, type KeySets, keySetName } from "./keySet.js";
import { keysCluster } from "./tokenKeys.js";
import { intoMetadata } from "./tokenMetadata.js";

const TOKENS_FILTER = "weir.tokens";

/** Requirement names: a valid token or none, where an invalid one counts as none; a valid token or no token at all. */
const CLAIMS = "claims";
const USERS = "users";

/** Verified tokens cached per worker, so that a user's next request needs no signature check. */
const CACHED_TOKENS = 1_000;

const JWT_AUTHN = "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication";
const PER_ROUTE = "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig";

export interface TokensContext {
	/** Its name and issuers. */
	readonly gateway: Pick<GatewayTable, "name" | "issuers">;
	/** The units of all Experiments. */
	readonly units: readonly UnitTable[];
	/** Key sets by issuer; Envoy reads or fetches the others itself. */
	readonly keySets: KeySets;
	/** Claim filters exist although no unit is a claim: they come with the listener, and units may come later. */
	readonly always: boolean;
}

/**
 * The listener's token filters, off unless a virtual host turns them on. They exist if the Gateway has issuers, because
 * routes that need them may arrive first.
 */
export function tokenFilters(context: TokensContext): readonly object[] {
	const filters = extensions(context).map(discovered);
	return filters.length > 1 ? [...filters, ...claimFilters()] : filters;
}

/** Configuration of the filters: keys, issuers and claims change without a new listener. */
export const tokenExtensions = (context: TokensContext): readonly EnvoyResource[] =>
	extensions(context).map(extensionResource);

function extensions({ gateway, units, keySets, always }: TokensContext): readonly Extension[] {
	const { name, issuers } = gateway;
	if (issuers.length === 0) return [];
	const claims = new Map(units.flatMap((unit) => (unit.from === "claim" ? [[unit.header, unit.claim] as const] : [])));
	const providers = issuers.map((issuer) => [issuer.issuer, provider(issuer, claims, keySets)] as const);
	const tokens = {
		name: partName(TOKENS_FILTER, name),
		config: verifying(Object.fromEntries(providers)),
		fallback: NO_VALID_TOKEN,
	};
	return [tokens, ...(always || claims.size > 0 ? [claimRules(name, issuers)] : [])];
}

function verifying(providers: Readonly<Record<string, object>>): EnvoyResource {
	const each = Object.keys(providers).map((provider_name) => ({ provider_name }));
	return {
		"@type": JWT_AUTHN,
		providers,
		requirement_map: {
			[CLAIMS]: { requires_any: { requirements: [...each, { allow_missing_or_failed: {} }] } },
			[USERS]: { requires_any: { requirements: [...each, { allow_missing: {} }] } },
		},
	};
}

/** No token is valid; requests without one are unaffected. */
const NO_VALID_TOKEN = verifying({
	none: { local_jwks: { inline_string: EMPTY_KEY_SET }, from_headers: ["Bearer", "DPoP"].map(shownBy) },
});

function provider(own: TokenIssuer, claims: ReadonlyMap<string, string>, keySets: KeySets): object {
	const { issuer, audiences, maxLifetimeMs } = own;
	return {
		issuer,
		audiences,
		...keysOf(own, keySets),
		// The Service still gets the token.
		forward: true,
		// Otherwise also the query parameter access_token, which logs and referrers expose.
		from_headers: schemes(own).map(shownBy),
		...intoMetadata(own),
		clock_skew_seconds: TOKEN_SKEW_SECONDS,
		require_expiration: true,
		// Envoy checks the remaining life; tokenRules.ts checks the whole (exp - iat).
		max_lifetime: protoDuration(maxLifetimeMs + TOKEN_SKEW_SECONDS * 1_000),
		jwt_cache_config: { jwt_cache_size: CACHED_TOKENS, jwt_max_token_size: TOKEN_BYTES_MAX },
		claim_to_headers: [...claims].map(([header_name, claim_name]) => ({ header_name, claim_name })),
		// The route was chosen before the claim was known.
		...(claims.size === 0 ? {} : { clear_route_cache: true }),
	};
}

function shownBy(scheme: string): object {
	return { name: "Authorization", value_prefix: `${scheme} ` };
}

/** Envoy does not check proofs. The second scheme only extracts claims of tokens whose proof the sidecar checks. */
const schemes = ({ binding }: TokenIssuer): readonly string[] =>
	binding === "dpop" || binding === "either" ? ["Bearer", "DPoP"] : ["Bearer"];

function keysOf(issuer: TokenIssuer, keySets: KeySets): object {
	const name = keySetName(issuer.keys);
	const text = Object.hasOwn(keySets, name) ? keySets[name] : undefined;
	if (text !== undefined) return { local_jwks: { inline_string: text } };
	// With this Envoy reads a file only once.
	if (issuer.keys.from === "file") return { local_jwks: { filename: issuer.keys.file } };
	return {
		remote_jwks: {
			http_uri: {
				uri: issuer.keys.url,
				cluster: keysCluster(issuer.keys),
				timeout: protoDuration(KEYS_FETCH_MS),
			},
			cache_duration: protoDuration(KEYS_URL_MS.fresh),
			// Fetched in the background for all workers. Until the first answer there are no keys, and tokens are refused.
			async_fetch: { failed_refetch_duration: protoDuration(KEYS_RETRY_MS) },
		},
	};
}

/**
 * typed_per_filter_config of a Service whose tokens Envoy verifies. Without issuers there is no filter.
 * @param users judged: Envoy refuses a bad token, or the sidecar does; tried: for shadow policies a bad token counts as none
 */
export function tokensPerRoute(
	unit: UnitTable | null,
	{ name, issuers }: TokensContext["gateway"],
	{ judged, tried }: { readonly judged: "here" | "by-sidecar" | "nowhere"; readonly tried: boolean },
): Record<string, object> {
	if (issuers.length === 0 || (judged !== "here" && !tried && unit?.from !== "claim")) return {};
	return {
		[partName(TOKENS_FILTER, name)]: { "@type": PER_ROUTE, requirement_name: judged === "here" ? USERS : CLAIMS },
		...(judged === "nowhere" ? claimsPerRoute(name) : {}),
		...othersPerRoute(unit?.from === "claim" ? unit.header : null),
	};
}
