/**
 * Rate limits natively, per Envoy process: of a Service and of each calling principal before any signature is checked,
 * of each tenant once its token is verified. Each has a filter of its own, for Envoy wants the times of all buckets of
 * one filter to be multiples of one another.
 */

import type { Rate, RateLimits, TokenIssuer } from "../../declare/resources/resource.js";
import { PROBE_BUCKET_EVERY_MS, PROBE_BUCKET_MORE, RATE_LIMIT_BUCKETS_MAX } from "../../limits/index.js";
import { PROBE_PATH } from "../access/requests/canonical.js";
import { claimPath, isSpaceDelimited } from "../access/users/claim.js";
import { protoDuration } from "./duration.js";
import { payloadKey, TOKENS_METADATA } from "./tokenMetadata.js";

export const SERVICE_LIMIT_FILTER = "weir.limit.service";
export const PRINCIPAL_LIMIT_FILTER = "weir.limit.principal";
export const TENANT_LIMIT_FILTER = "weir.limit.tenant";

const LOCAL_RATE_LIMIT = "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit";
const EXPRESSION = "type.googleapis.com/envoy.extensions.rate_limit_descriptors.expr.v3.Descriptor";

/** Whom requests without a proven principal are counted under, all together. */
const NOBODY = "-";

/** More than any Envoy serves. */
const NO_LIMIT = 4_294_967_295;

const filter = (name: string): object => ({
	name,
	disabled: true,
	typed_config: { "@type": LOCAL_RATE_LIMIT, stat_prefix: name.replaceAll(".", "_") },
});

/**
 * Before tokens are verified; off unless a virtual host asks for them. What a principal is refused takes nothing of the
 * Service's, so that one alone cannot use that up.
 */
export const limitsBeforeTokens = (): readonly object[] => [
	filter(PRINCIPAL_LIMIT_FILTER),
	filter(SERVICE_LIMIT_FILTER),
];

/** After it. */
export const limitsAfterTokens = (): readonly object[] => [filter(TENANT_LIMIT_FILTER)];

export interface LimitPlace {
	/** The Gateway demands client certificates. */
	readonly identifies: boolean;
	readonly issuers: readonly TokenIssuer[];
	/** Envoy verifies the Service's tokens itself: elsewhere it knows no tenant. */
	readonly verifies: boolean;
	/** The Service is protected, and so it is probed: at an open one nothing would refuse the probe. */
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

/** What a limit has a bucket for each value of. */
interface Counted {
	readonly key: string;
	/** Those that find a value say it, at most one of them. */
	readonly actions: readonly object[];
	/** Where none does, the request is one of all such: of the bucket for what no descriptor is about. */
	readonly mayLack: boolean;
}

/**
 * A bucket, or one for each value, the least used forgotten beyond the bound. What no descriptor is about has one that none
 * uses up, but where a value may lack: what has no limit would be the way around it. The built-in probe of a protected Service has
 * buckets of its own: out of the callers' it would take what they may, and who uses that up would end the probe.
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

/** By the URI of the certificate: a new certificate of the same principal has the same bucket. */
function caller({ identifies }: LimitPlace): Counted {
	const key = "principal";
	const action = identifies
		? expression(key, "connection.uri_san_peer_certificate")
		: { generic_key: { descriptor_key: key, descriptor_value: NOBODY } };
	return { key, actions: [action], mayLack: false };
}

/**
 * The tenant that a verified token says, as one text. Who shows no token, or one that says none, an empty one or a list,
 * shares one bucket with all such: what has no limit would be the way around it. Each issuer is looked up by itself, and
 * jwt_authn tells one token's payload alone. Not one expression in CEL: Envoy takes no `? :` within a `? :` that is 25 deep,
 * and what refuses a Service's limit refuses the routes of all (test/compile/envoy/tenantIssuers.test.ts).
 */
function tenantOf({ issuers }: LimitPlace): Counted {
	// Whoever says words in another order would have another bucket.
	const texts = issuers.filter(({ tenantClaim }) => !isSpaceDelimited(claimPath(tenantClaim)));
	return { key: TENANT, actions: texts.map(saidTenant), mayLack: true };
}

const TENANT = "tenant";

/** A text that is not empty; of anything else this action says nothing. */
function saidTenant(issuer: TokenIssuer): object {
	const path = [payloadKey(issuer), ...claimPath(issuer.tenantClaim)].map((key) => ({ key }));
	const metadata_key = { key: TOKENS_METADATA, path };
	return { metadata: { descriptor_key: TENANT, metadata_key, source: "DYNAMIC", skip_if_absent: true } };
}

/** A text of CEL; escapes as JSON has them are also CEL's. */
const literal = (text: string): string => JSON.stringify(text);
