/**
 * Native rate limits per Envoy process: of a Service and of each calling principal before token verification, of each tenant
 * after it. Each limit is a filter of its own, because Envoy requires the fill intervals of one filter to be multiples of one
 * another.
 */

import type { Rate, RateLimits, TokenIssuer } from "../../declare/resources/resource.js";
import { PROBE_PATH } from "../access/requests/canonical.js";
import { claimPath, isSpaceDelimited } from "../access/users/claim.js";
import { protoDuration } from "./duration.js";
import { payloadKey, TOKENS_METADATA } from "./tokenMetadata.js";

/** Buckets of principals or tenants per rate limit and Envoy: about 200 bytes each. */
const RATE_LIMIT_BUCKETS_MAX = 10_000;

/** Probe rate of a rate-limited Service, and its burst. Requests beyond it are not control's. */
const PROBE_BUCKET_EVERY_MS = 100;
const PROBE_BUCKET_MORE = 10;

export const SERVICE_LIMIT_FILTER = "weir.limit.service";
export const PRINCIPAL_LIMIT_FILTER = "weir.limit.principal";
export const TENANT_LIMIT_FILTER = "weir.limit.tenant";

const LOCAL_RATE_LIMIT = "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit";
const EXPRESSION = "type.googleapis.com/envoy.extensions.rate_limit_descriptors.expr.v3.Descriptor";

/** Shared bucket of all requests without a proved principal. */
const UNIDENTIFIED = "-";

/** More than any Envoy serves. */
const NO_LIMIT = 4_294_967_295;

const filter = (name: string): object => ({
	name,
	disabled: true,
	typed_config: { "@type": LOCAL_RATE_LIMIT, stat_prefix: name.replaceAll(".", "_") },
});

/**
 * Before token verification; off unless a virtual host turns them on. A request that the principal's limit refuses does not
 * count against the Service's limit, so one principal cannot use that up.
 */
export const limitsBeforeTokens = (): readonly object[] => [
	filter(PRINCIPAL_LIMIT_FILTER),
	filter(SERVICE_LIMIT_FILTER),
];

/** After token verification. */
export const limitsAfterTokens = (): readonly object[] => [filter(TENANT_LIMIT_FILTER)];

export interface LimitPlace {
	/** The Gateway requires client certificates. */
	readonly identifies: boolean;
	readonly issuers: readonly TokenIssuer[];
	/** Envoy verifies the Service's tokens; otherwise it knows no tenant. */
	readonly verifies: boolean;
	/** The Service is protected, so it is probed. */
	readonly probed: boolean;
}

/** typed_per_filter_config of a virtual host. */
export function limitsPerRoute({ service, principal, tenant }: RateLimits, place: LimitPlace): Record<string, object> {
	return {
		...(service === null ? {} : { [SERVICE_LIMIT_FILTER]: limiter(SERVICE_LIMIT_FILTER, service, null, place) }),
		...(principal === null
			? {}
			: { [PRINCIPAL_LIMIT_FILTER]: limiter(PRINCIPAL_LIMIT_FILTER, principal, caller(place), place) }),
		...(tenant === null || !place.verifies
			? {}
			: { [TENANT_LIMIT_FILTER]: limiter(TENANT_LIMIT_FILTER, tenant, tenantOf(place), place) }),
	};
}

const bucket = ({ requests, perMs }: Rate): object => ({
	max_tokens: requests,
	tokens_per_fill: requests,
	fill_interval: protoDuration(perMs),
});

/** The key of a limit's buckets. */
interface Counted {
	readonly key: string;
	/** Actions that find a value; at most one does. */
	readonly actions: readonly object[];
	/** If none does, the request uses the shared default bucket. */
	readonly mayLack: boolean;
}

/**
 * One bucket, or one per value with LRU eviction. The default bucket is unlimited, unless a value may be missing: that would
 * bypass the limit. The built-in probe of a protected Service has its own buckets, so that probe and callers do not use up
 * each other's limit.
 */
function limiter(name: string, rate: Rate, by: Counted | null, { probed }: LimitPlace): object {
	const of = (traffic: string, keys: readonly string[], bucketOf: Rate): object => ({
		entries: [{ key: TRAFFIC, value: traffic }, ...keys.map((key) => ({ key }))],
		token_bucket: bucket(bucketOf),
	});
	const each = by === null ? [] : [by.key];
	const mayLack = by?.mayLack === true;
	const probes = { requests: Math.ceil(rate.perMs / PROBE_BUCKET_EVERY_MS) + PROBE_BUCKET_MORE, perMs: rate.perMs };
	return {
		"@type": LOCAL_RATE_LIMIT,
		stat_prefix: name.replaceAll(".", "_"),
		token_bucket: bucket(mayLack ? rate : { requests: NO_LIMIT, perMs: rate.perMs }),
		filter_enabled: { default_value: { numerator: 100 } },
		filter_enforced: { default_value: { numerator: 100 } },
		rate_limited_as_resource_exhausted: true,
		descriptors: [
			of("requests", each, rate),
			...(probed ? [of("probes", each, probes)] : []),
			...(probed && mayLack ? [of("probes", [], probes)] : []),
		],
		always_consume_default_token_bucket: false,
		rate_limits: [{ actions: [traffic(probed), ...(by?.actions ?? [])] }],
		...(by === null ? {} : { max_dynamic_descriptors: RATE_LIMIT_BUCKETS_MAX }),
	};
}

const TRAFFIC = "traffic";

function traffic(probed: boolean): object {
	if (!probed) return { generic_key: { descriptor_key: TRAFFIC, descriptor_value: "requests" } };
	const isProbe = `request.method == "OPTIONS" && request.path == ${literal(PROBE_PATH)}`;
	return expression(TRAFFIC, `${isProbe} ? "probes" : "requests"`);
}

const expression = (key: string, text: string): object => ({
	extension: { name: key, typed_config: { "@type": EXPRESSION, descriptor_key: key, text } },
});

/** By the certificate's URI: a renewed certificate of a principal keeps its bucket. */
function caller({ identifies }: LimitPlace): Counted {
	const key = "principal";
	const action = identifies
		? expression(key, "connection.uri_san_peer_certificate")
		: { generic_key: { descriptor_key: key, descriptor_value: UNIDENTIFIED } };
	return { key, actions: [action], mayLack: false };
}

/**
 * The tenant of a verified token, as one text. Requests without a token, or with a missing, empty or list tenant, share one
 * bucket, because no limit would be a bypass. Each issuer is looked up by itself; jwt_authn keeps one token's payload. Not
 * one CEL expression: Envoy rejects `? :` nested 25 deep, and a rejected limit blocks the routes of all Services
 * (test/compile/envoy/tenantIssuers.test.ts).
 */
function tenantOf({ issuers }: LimitPlace): Counted {
	// Sorted, so that another order of the values uses the same bucket.
	const texts = issuers.filter(({ tenantClaim }) => !isSpaceDelimited(claimPath(tenantClaim)));
	return { key: TENANT, actions: texts.map(tenantAction), mayLack: true };
}

const TENANT = "tenant";

/** A non-empty text; otherwise this action yields nothing. */
function tenantAction(issuer: TokenIssuer): object {
	const path = [payloadKey(issuer), ...claimPath(issuer.tenantClaim)].map((key) => ({ key }));
	const metadata_key = { key: TOKENS_METADATA, path };
	return { metadata: { descriptor_key: TENANT, metadata_key, source: "DYNAMIC", skip_if_absent: true } };
}

/** A CEL string; JSON escapes are also valid in CEL. */
const literal = (text: string): string => JSON.stringify(text);
