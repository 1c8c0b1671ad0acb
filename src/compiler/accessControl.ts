/**
 * AccessPolicies as Envoy RBAC: two filters, deny first, so that forbid wins; the allow filter's base
 * configuration allows nobody, so a virtual host that was forgotten is closed, not open.
 */
import { AMBIGUOUS_PATH_PARTS, judgesPaths, policiesOf } from "../access/policy.js";
import { type AccessPolicy, qualifiedName, type Service } from "../resources/resource.js";

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

/** Whether the Service is checked at all: it is not open, or a policy selects it (access/policy.ts says the same). */
export function isProtected(service: Service, policies: readonly AccessPolicy[]): boolean {
	return service.spec.access !== "open" || policiesOf(service, policies).length > 0;
}

/**
 * typed_per_filter_config of the Service's virtual host. An open Service gets RBACPerRoute without rbac: no check.
 * One that is neither open nor selected by a policy (`validate` refuses it) is closed to everyone.
 */
export function accessPerRoute(service: Service, policies: readonly AccessPolicy[]): Record<string, object> {
	const own = policiesOf(service, policies);
	if (!isProtected(service, policies)) return { [ALLOW_FILTER]: { "@type": RBAC_PER_ROUTE } };
	const rules = (action: "allow" | "deny") =>
		Object.fromEntries(
			own
				.filter((policy) => policy.spec.action === action)
				.map((policy) => [qualifiedName(policy.metadata), rbacPolicy(policy)]),
		);
	const deny = { ...rules("deny"), ...(judgesPaths(own) ? { [AMBIGUOUS_PATH]: ambiguousPath() } : {}) };
	return {
		...(Object.keys(deny).length === 0
			? {}
			: { [DENY_FILTER]: { "@type": RBAC_PER_ROUTE, rbac: { rules: { action: "DENY", policies: deny } } } }),
		[ALLOW_FILTER]: { "@type": RBAC_PER_ROUTE, rbac: { rules: { action: "ALLOW", policies: rules("allow") } } },
	};
}

function rbacPolicy(policy: AccessPolicy): object {
	const { principals, methods, pathPrefixes } = policy.spec;
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
