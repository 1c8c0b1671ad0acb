/**
 * Access rules as Envoy RBAC: two filters, deny first, so that forbid wins; the allow filter's base configuration
 * allows nobody, so a virtual host that was forgotten is closed, not open.
 */
import { AMBIGUOUS_PATH_PARTS, judgesPaths, judgesVariants } from "../access/policy.js";
import { isOpen } from "./execution.js";
import type { AccessTable, PolicyTable } from "./plan.js";

export const DENY_FILTER = "weir.deny";
export const ALLOW_FILTER = "weir.allow";

/** Name of the built-in deny rule in Envoy's statistics and response details; no AccessPolicy can have it. */
const AMBIGUOUS_PATH = "(ambiguous path)";

/** Likewise of the rule that a certificate must name one caller. In response details Envoy writes `_` for a space. */
export const NO_SINGLE_IDENTITY = "(no single identity)";

/**
 * What Envoy writes into x-forwarded-client-cert of a certificate with exactly one URI SAN, and that a SPIFFE id
 * (measured on 1.36.2 and 1.40.0): it repeats URI= for each, writes an empty one where there is none, and escapes
 * nothing. By= is its own certificate's.
 */
const ONE_IDENTITY = '(By=[^;,"]*;)*Hash=[0-9a-f]+;URI=spiffe://[^;,"]+';
const CLIENT_CERTIFICATE = "x-forwarded-client-cert";

const RBAC = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC";
const RBAC_PER_ROUTE = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBACPerRoute";

/**
 * Both HTTP filters, always there: they come with the listener, their rules with the routes, and a filter that came
 * first would refuse open Services until the routes follow.
 */
export function accessFilters(): readonly object[] {
	return [
		{ name: DENY_FILTER, typed_config: { "@type": RBAC } },
		{ name: ALLOW_FILTER, typed_config: { "@type": RBAC, rules: { action: "ALLOW", policies: {} } } },
	];
}

/** No check by Envoy: the Service is open. RBACPerRoute without rbac switches the filter off. */
const noAccessCheck = (): Record<string, object> => ({ [ALLOW_FILTER]: { "@type": RBAC_PER_ROUTE } });

/**
 * typed_per_filter_config where the sidecar decides. It is told one identity of a certificate, so that one with
 * several, or with none, stays out here.
 * @param identifies the Gateway demands client certificates
 */
export const accessBySidecar = (identifies: boolean): Record<string, object> => ({
	...noAccessCheck(),
	...(identifies ? { [DENY_FILTER]: denies({ [NO_SINGLE_IDENTITY]: noSingleIdentity() }) } : {}),
});

/**
 * typed_per_filter_config that decides access natively, for a virtual host or (it replaces the host's) for one
 * weighted entry. An open Service gets no check; one that is neither open nor selected by a policy (`validate`
 * refuses it) is closed to everyone.
 * @param variant the Variant that the requests go to: policies of other Variants are left out.
 * @param identifies the Gateway demands client certificates; elsewhere nobody is identified, and so nobody allowed
 */
export function accessPerRoute(access: AccessTable, variant: string, identifies: boolean): Record<string, object> {
	if (isOpen(access)) return noAccessCheck();
	const rules = (action: "allow" | "deny") =>
		Object.fromEntries(
			access.policies
				.filter(({ variants }) => variants.length === 0 || variants.includes(variant))
				.filter((policy) => policy.action === action)
				.map((policy) => [policy.name, rbacPolicy(policy, identifies)]),
		);
	const deny = {
		...rules("deny"),
		...(judgesPaths(access) ? { [AMBIGUOUS_PATH]: ambiguousPath() } : {}),
		...(identifies ? { [NO_SINGLE_IDENTITY]: noSingleIdentity() } : {}),
	};
	return {
		...(Object.keys(deny).length === 0
			? // Where Variants differ, an entry without a denial must not inherit its virtual host's.
				judgesVariants(access)
				? { [DENY_FILTER]: { "@type": RBAC_PER_ROUTE } }
				: {}
			: { [DENY_FILTER]: denies(deny) }),
		[ALLOW_FILTER]: { "@type": RBAC_PER_ROUTE, rbac: { rules: { action: "ALLOW", policies: rules("allow") } } },
	};
}

const denies = (policies: Record<string, object>): object => ({
	"@type": RBAC_PER_ROUTE,
	rbac: { rules: { action: "DENY", policies } },
});

function rbacPolicy({ principals, methods, pathPrefixes }: PolicyTable, identifies: boolean): object {
	const conditions = [
		...(methods.length === 0 ? [] : [{ or_rules: { rules: methods.map(methodIs) } }]),
		...(pathPrefixes.length === 0 ? [] : [{ or_rules: { rules: pathPrefixes.flatMap(pathIsUnder) } }]),
	];
	return {
		permissions: [conditions.length === 0 ? { any: true } : { and_rules: { rules: conditions } }],
		// Only deny may have no principals; resources refuses it for allow.
		principals: principals.length === 0 ? [{ any: true }] : principals.map((id) => caller(id, identifies)),
	};
}

/**
 * TLS's own word is not enough: `authenticated` matches a DNS SAN too where the URI SAN does not fit, so that an SVID
 * of one caller could have another's id as a DNS name. Of a certificate with one URI, the header ends with it.
 */
function caller(id: string, identifies: boolean): object {
	const authenticated = { authenticated: { principal_name: { exact: id } } };
	if (!identifies) return authenticated;
	const uri = { header: { name: CLIENT_CERTIFICATE, string_match: { suffix: `;URI=${id}` } } };
	return { and_ids: { ids: [uri, authenticated] } };
}

const ambiguousPath = (): object => ({
	permissions: [
		{
			or_rules: {
				rules: AMBIGUOUS_PATH_PARTS.map((part) => ({ url_path: { path: { contains: part, ignore_case: true } } })),
			},
		},
	],
	principals: [{ any: true }],
});

/**
 * A certificate that is no X.509-SVID, which has exactly one URI SAN (X509-SVID section 2). Of several, RBAC takes
 * any and the sidecar is told the first, or of none a DNS name: a caller could choose whom to be. The header is
 * Envoy's own word (forward_client_cert_details: SANITIZE_SET), and is there wherever a certificate was shown.
 */
const noSingleIdentity = (): object => ({
	permissions: [{ any: true }],
	principals: [
		{ not_id: { header: { name: CLIENT_CERTIFICATE, string_match: { safe_regex: { regex: ONE_IDENTITY } } } } },
	],
});

const methodIs = (method: string): object => ({ header: { name: ":method", string_match: { exact: method } } });

/** Whole segments: the prefix itself or anything below it, never `/v20` under `/v2`. */
function pathIsUnder(prefix: string): readonly object[] {
	const trimmed = prefix.endsWith("/") ? prefix.slice(0, -1) : prefix;
	const under = { url_path: { path: { prefix: `${trimmed}/` } } };
	return trimmed === "" ? [under] : [{ url_path: { path: { exact: trimmed } } }, under];
}
