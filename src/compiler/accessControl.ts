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

/** No check by Envoy: the Service is open, or the sidecar decides. RBACPerRoute without rbac switches the filter off. */
export const noAccessCheck = (): Record<string, object> => ({ [ALLOW_FILTER]: { "@type": RBAC_PER_ROUTE } });

/**
 * typed_per_filter_config that decides access natively, for a virtual host or (it replaces the host's) for one
 * weighted entry. An open Service gets no check; one that is neither open nor selected by a policy (`validate`
 * refuses it) is closed to everyone.
 * @param variant the Variant that the requests go to: policies of other Variants are left out.
 */
export function accessPerRoute(access: AccessTable, variant: string): Record<string, object> {
	if (isOpen(access)) return noAccessCheck();
	const rules = (action: "allow" | "deny") =>
		Object.fromEntries(
			access.policies
				.filter(({ variants }) => variants.length === 0 || variants.includes(variant))
				.filter((policy) => policy.action === action)
				.map((policy) => [policy.name, rbacPolicy(policy)]),
		);
	const deny = { ...rules("deny"), ...(judgesPaths(access) ? { [AMBIGUOUS_PATH]: ambiguousPath() } : {}) };
	return {
		...(Object.keys(deny).length === 0
			? // Where Variants differ, an entry without a denial must not inherit its virtual host's.
				judgesVariants(access)
				? { [DENY_FILTER]: { "@type": RBAC_PER_ROUTE } }
				: {}
			: { [DENY_FILTER]: { "@type": RBAC_PER_ROUTE, rbac: { rules: { action: "DENY", policies: deny } } } }),
		[ALLOW_FILTER]: { "@type": RBAC_PER_ROUTE, rbac: { rules: { action: "ALLOW", policies: rules("allow") } } },
	};
}

function rbacPolicy({ principals, methods, pathPrefixes }: PolicyTable): object {
	const conditions = [
		...(methods.length === 0 ? [] : [{ or_rules: { rules: methods.map(methodIs) } }]),
		...(pathPrefixes.length === 0 ? [] : [{ or_rules: { rules: pathPrefixes.flatMap(pathIsUnder) } }]),
	];
	return {
		permissions: [conditions.length === 0 ? { any: true } : { and_rules: { rules: conditions } }],
		// Only deny may have no principals; resources refuses it for allow.
		principals:
			principals.length === 0
				? [{ any: true }]
				: principals.map((id) => ({ authenticated: { principal_name: { exact: id } } })),
	};
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

const methodIs = (method: string): object => ({ header: { name: ":method", string_match: { exact: method } } });

/** Whole segments: the prefix itself or anything below it, never `/v20` under `/v2`. */
function pathIsUnder(prefix: string): readonly object[] {
	const trimmed = prefix.endsWith("/") ? prefix.slice(0, -1) : prefix;
	const under = { url_path: { path: { prefix: `${trimmed}/` } } };
	return trimmed === "" ? [under] : [{ url_path: { path: { exact: trimmed } } }, under];
}
