/**
 * AccessPolicy as data and as a pure function over it: deny by default, forbid wins. The compiler makes the same
 * rules native (compiler/accessControl.ts); the parity suite holds the two against each other on a real Envoy.
 */
import type { AccessTable, PolicyTable } from "../compiler/plan.js";
import { type AccessPolicy, qualifiedName, type Service } from "../resources/resource.js";

export interface AccessRequest {
	/** SPIFFE id from Envoy's TLS layer; null = the caller proved none. */
	readonly principal: string | null;
	readonly method: string;
	/** Path without query, normalised as Envoy does. */
	readonly path: string;
	/** Variant that the request is assigned to; null = not known: then no allow and every deny of Variants matches. */
	readonly variant: string | null;
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

/** The access rules of one Service, out of the policies of the whole set. */
export function accessTable(service: Service, policies: readonly AccessPolicy[]): AccessTable {
	return {
		open: service.spec.access === "open",
		policies: policiesOf(service, policies).map(({ metadata, spec }) => ({
			name: qualifiedName(metadata),
			action: spec.action,
			principals: spec.principals,
			methods: spec.methods,
			pathPrefixes: spec.pathPrefixes,
			variants: spec.variants,
			shadow: spec.mode === "shadow",
			more: null,
		})),
	};
}

/** Whether the path lies under the prefix, by whole segments (Gateway API PathPrefix). */
export function underPrefix(path: string, prefix: string): boolean {
	return underTrimmed(path, trimPrefix(prefix));
}

const trimPrefix = (prefix: string): string => (prefix.endsWith("/") ? prefix.slice(0, -1) : prefix);

const underTrimmed = (path: string, trimmed: string): boolean =>
	path.startsWith(trimmed) && (path.length === trimmed.length || path.charCodeAt(trimmed.length) === SLASH);

const SLASH = 0x2f;

/** Characters that a prefix may hold (RFC 3986 3.3) and whose escapes Envoy leaves: `/m%3Apredict` is `/m:predict`. */
const ESCAPED_IN_PREFIXES = [..."!$&'()*+,:;=@"].map((char) => `%${char.charCodeAt(0).toString(16)}`);

/**
 * Parts that servers read in different ways: path parameters (`/admin;x` is `/admin` to a servlet container,
 * CVE-2026-73511), the NUL that ends a C string, a path of slashes alone (which Envoy does not merge), and escapes
 * that Envoy does not undo. Lower case; compared without regard to case.
 */
export const AMBIGUOUS_PATH_PARTS: readonly string[] = [";", "%00", "//", ...ESCAPED_IN_PREFIXES];

/**
 * What no path holds that Envoy has normalised as our Gateways do (normalize_path, merge_slashes, escaped slashes
 * refused; measured on 1.36.2 and 1.40.0): doubled slashes, dot segments, backslashes, escaped slashes and escaped
 * unreserved characters (RFC 3986 2.3). An Envoy that is not ours may let them through to the sidecar.
 */
const NOT_CANONICAL = /^(?!\/)|\/\/|\/\.\.?(?:\/|$)|\\|%(?:2[d-f]|3[0-9]|4[1-9a-f]|5[0-9acf]|6[1-9a-f]|7[0-9ae])/i;

/** Whether the Service's policies look at the path, and so must not be asked about an ambiguous one. */
export function judgesPaths({ policies }: AccessTable): boolean {
	return policies.some(({ pathPrefixes }) => pathPrefixes.length > 0);
}

/** Whether the verdict depends on the Variant, and so can only be given after the assignment. */
export function judgesVariants({ policies }: AccessTable): boolean {
	return policies.some(({ variants }) => variants.length > 0);
}

function isAmbiguous(path: string): boolean {
	if (NOT_CANONICAL.test(path)) return true;
	const lower = path.toLowerCase();
	return AMBIGUOUS_PATH_PARTS.some((part) => lower.includes(part));
}

/** One policy without its principals, and the verdict that it gives. */
interface Rule {
	readonly methods: ReadonlySet<string>;
	readonly prefixes: readonly string[];
	readonly variants: ReadonlySet<string>;
	readonly onUnknownVariant: boolean;
	readonly verdict: Verdict;
}

function matches(rule: Rule, { method, path, variant }: AccessRequest): boolean {
	return (
		(rule.methods.size === 0 || rule.methods.has(method)) &&
		(rule.prefixes.length === 0 || rule.prefixes.some((prefix) => underTrimmed(path, prefix))) &&
		(rule.variants.size === 0 || (variant === null ? rule.onUnknownVariant : rule.variants.has(variant)))
	);
}

const OPEN: Verdict = { allowed: true, reason: "open", policy: null };
const AMBIGUOUS: Verdict = { allowed: false, reason: "forbidden", policy: null };
const NOBODY: Verdict = { allowed: false, reason: "no-policy-allows", policy: null };

/**
 * Makes the rules answerable: the function gives the verdict on one request. Of several policies that match, the
 * first declared is named. An ambiguous path is forbidden (with no policy to name) where any policy judges paths.
 */
export function compileAccess(table: AccessTable): (request: AccessRequest) => Verdict {
	if (table.open && table.policies.length === 0) return () => OPEN;
	const ambiguityMatters = judgesPaths(table);
	const principals = new Set(table.policies.flatMap((policy) => policy.principals));
	const rules = (of: (policy: PolicyTable) => boolean): readonly Rule[] => {
		const own = table.policies.filter(of);
		const ordered = [
			...own.filter(({ action }) => action === "deny"),
			...own.filter(({ action }) => action !== "deny"),
		];
		return ordered.map(ruleOf);
	};
	// A deny without principals is for everyone; an allow without any is for nobody.
	const forAll = ({ action, principals: ids }: PolicyTable): boolean => action === "deny" && ids.length === 0;
	const byPrincipal = new Map(
		[...principals].map((id) => [id, rules((policy) => forAll(policy) || policy.principals.includes(id))]),
	);
	const others = rules(forAll);
	return (request) => {
		if (ambiguityMatters && isAmbiguous(request.path)) return AMBIGUOUS;
		const { principal } = request;
		const own = principal === null ? others : (byPrincipal.get(principal) ?? others);
		for (const rule of own) if (matches(rule, request)) return rule.verdict;
		return NOBODY;
	};
}

function ruleOf({ name, action, methods, pathPrefixes, variants }: PolicyTable): Rule {
	const deny = action === "deny";
	return {
		methods: new Set(methods),
		prefixes: pathPrefixes.map(trimPrefix),
		variants: new Set(variants),
		onUnknownVariant: deny,
		verdict: deny
			? { allowed: false, reason: "forbidden", policy: name }
			: { allowed: true, reason: "allowed", policy: name },
	};
}

/** The verdict on one request to one Service, for who asks once. */
export function authorize(service: Service, policies: readonly AccessPolicy[], request: AccessRequest): Verdict {
	return compileAccess(accessTable(service, policies))(request);
}
