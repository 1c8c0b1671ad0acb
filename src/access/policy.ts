/**
 * AccessPolicy as a pure function: deny by default, forbid wins. The compiler makes the same rules native
 * (compiler/accessControl.ts); the parity suite holds the two against each other on a real Envoy.
 */
import { type AccessPolicy, qualifiedName, type Service } from "../resources/resource.js";

export interface AccessRequest {
	/** SPIFFE id from Envoy's TLS layer; null = the caller proved none. */
	readonly principal: string | null;
	readonly method: string;
	/** Path without query, normalised as Envoy does. */
	readonly path: string;
}

export type Verdict =
	| { readonly allowed: true; readonly reason: "open" | "allowed"; readonly policy: string | null }
	| { readonly allowed: false; readonly reason: "forbidden" | "no-policy-allows"; readonly policy: string | null };

/** The policies that select the Service, in declared order. */
export function policiesOf(service: Service, policies: readonly AccessPolicy[]): readonly AccessPolicy[] {
	return policies.filter(
		(policy) =>
			policy.metadata.namespace === service.metadata.namespace && policy.spec.services.includes(service.metadata.name),
	);
}

/** Whether the path lies under the prefix, by whole segments (Gateway API PathPrefix). */
export function underPrefix(path: string, prefix: string): boolean {
	const trimmed = prefix.endsWith("/") ? prefix.slice(0, -1) : prefix;
	return path === trimmed || path.startsWith(`${trimmed}/`);
}

/**
 * Parts that servers read in different ways: path parameters (`/admin;x` is `/admin` to a servlet container,
 * CVE-2026-73511) and the NUL that ends a C string. Lower case; compared without regard to case.
 */
export const AMBIGUOUS_PATH_PARTS: readonly string[] = [";", "%3b", "%00"];

/** Whether the Service's policies look at the path, and so must not be asked about an ambiguous one. */
export function judgesPaths(own: readonly AccessPolicy[]): boolean {
	return own.some(({ spec }) => spec.pathPrefixes.length > 0);
}

function isAmbiguous(path: string): boolean {
	const lower = path.toLowerCase();
	return AMBIGUOUS_PATH_PARTS.some((part) => lower.includes(part));
}

function matches(policy: AccessPolicy, request: AccessRequest): boolean {
	const { principals, methods, pathPrefixes } = policy.spec;
	const principalMatches =
		principals.length === 0 ? policy.spec.action === "deny" : principals.some((id) => id === request.principal);
	return (
		principalMatches &&
		(methods.length === 0 || methods.includes(request.method)) &&
		(pathPrefixes.length === 0 || pathPrefixes.some((prefix) => underPrefix(request.path, prefix)))
	);
}

/**
 * The verdict on one request to one Service. An ambiguous path is forbidden (with no policy to name) where any
 * policy of the Service judges paths.
 */
export function authorize(service: Service, policies: readonly AccessPolicy[], request: AccessRequest): Verdict {
	const own = policiesOf(service, policies);
	if (service.spec.access === "open" && own.length === 0) return { allowed: true, reason: "open", policy: null };
	const name = (policy: AccessPolicy | undefined) => (policy === undefined ? null : qualifiedName(policy.metadata));
	if (judgesPaths(own) && isAmbiguous(request.path)) return { allowed: false, reason: "forbidden", policy: null };
	const deny = own.find((policy) => policy.spec.action === "deny" && matches(policy, request));
	if (deny !== undefined) return { allowed: false, reason: "forbidden", policy: name(deny) };
	const allow = own.find((policy) => policy.spec.action === "allow" && matches(policy, request));
	if (allow !== undefined) return { allowed: true, reason: "allowed", policy: name(allow) };
	return { allowed: false, reason: "no-policy-allows", policy: null };
}
