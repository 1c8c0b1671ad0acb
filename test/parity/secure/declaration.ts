/**
 * Generated access rules for the parity of all executions: every condition that is native, on Services of three Gateways:
 * in a region and demanding certificates, in none, and without an issuer. Seeded.
 */
import type { AccessPolicy, GatewayTls, ResourceSet, TokenIssuer } from "../../../src/declare/resources/resource.js";
import { mulberry32 } from "../../envoy/units.js";
import {
	accessPolicy,
	gateway,
	PATIENT,
	resourceSet,
	service,
	tokenIssuer,
	variant,
} from "../../fixtures/resources.js";
import { pick, type Random } from "../declaration.js";

export const TRUST = "spiffe://weir.test";
export const CALLERS = ["alice", "ns/a/one", "ns/a/two", "ns/ab/x", "ns/b/one"] as const;
export const PATTERNS = ["alice", "ns/a/one", "ns/b/one", "ns/a/*", "ns/*", "*"] as const;
export const PLAIN = "plain";
export const EDGE = "edge";
/** It believes no issuer, so that no token holds there. */
export const BARE = "bare";
export const REGIONS = ["ae", "eu"] as const;
export const JWT_ISSUER = "https://jwt.weir.test";
export const AT_ISSUER = "https://at.weir.test/t1";
export const AUDIENCE = "weir";
/** One ends like "any of its users" and is one user: ISSUER#SUB is split at the first #. */
export const SUBJECTS = ["ann", "bob", "a#b", "c#*"] as const;
export const TEXTS = ["red", "green", "blue"] as const;
export const METHODS = ["GET", "POST", "DELETE"] as const;
export const PREFIXES = ["/", "/v2", "/v2/models", "/admin"] as const;
export const TEMPLATES = ["/v2/models/{m}/infer", "/v2/models/{m}", "/{any}", "/v2/models/a.b/{op}", "/"] as const;

export interface Declared {
	readonly resources: ResourceSet;
	readonly issuers: readonly TokenIssuer[];
}

function some<T>(random: Random, values: readonly T[], chance: number): readonly T[] {
	if (random() >= chance) return [];
	const chosen = values.filter(() => random() < 0.4);
	return chosen.length === 0 ? [pick(random, values)] : chosen;
}

export interface DeclareOptions {
	readonly seed: number;
	readonly services: number;
	readonly port: number;
	readonly tls: GatewayTls;
	readonly jwksFile: string;
}

export function declare({ seed, services: count, port, tls, jwksFile }: DeclareOptions): Declared {
	const random = mulberry32(seed);
	const issuers: readonly TokenIssuer[] = [
		{ ...tokenIssuer(JWT_ISSUER, [AUDIENCE, "other"], jwksFile), maxLifetimeMs: 7_200_000 },
		{
			...tokenIssuer(AT_ISSUER, [], jwksFile),
			...{
				profile: "at+jwt",
				groupsClaim: "org.roles",
				tenantClaim: "https://weir.test/tenant",
				purposeClaim: "scope",
			},
		},
	];
	const names = Array.from({ length: count }, (_, index) => `s${index}`);
	const edgeRegion = pick(random, REGIONS);
	// It was drawn once: a seed still means the rules that it meant.
	if (random() >= 0.5) random();
	// Every sixth is open: without policies, or with shadow ones alone.
	const isOpen = (name: string): boolean => Number(name.slice(1)) % 6 === 5;
	return {
		issuers,
		resources: resourceSet({
			gateways: [
				gateway({ tls, tokens: issuers, region: edgeRegion }, EDGE),
				// It believes one of them only, and stands nowhere: what names regions is no allow there, and a deny.
				gateway({ tokens: issuers.slice(0, 1), region: null }, PLAIN),
				gateway({}, BARE),
			],
			services: names.map((name) =>
				service(name, [variant("v1", port), variant("v2", port)], {
					access: isOpen(name) || random() < 0.1 ? "open" : null,
					callout: PATIENT,
					defaultVariant: pick(random, ["v1", "v2"]),
				}),
			),
			accessPolicies: names.flatMap((name) =>
				Array.from({ length: (isOpen(name) ? 0 : 1) + Math.floor(random() * 5) }, (_, index) =>
					policy(random, name, index, isOpen(name)),
				),
			),
		}),
	};
}

function policy(random: Random, name: string, index: number, shadow: boolean): AccessPolicy {
	const action = index > 0 && random() < 0.35 ? "deny" : "allow";
	const principals = some(random, PATTERNS, 0.45).map((pattern) => (pattern === "*" ? "*" : `${TRUST}/${pattern}`));
	const users = some(
		random,
		[
			...[JWT_ISSUER, AT_ISSUER].flatMap((issuer) => SUBJECTS.map((subject) => `${issuer}#${subject}`)),
			...(random() < 0.1 ? ["*", `${JWT_ISSUER}#*`] : []),
		],
		0.2,
	);
	const groups = some(random, TEXTS, 0.3);
	const mode = shadow || random() < 0.2 ? "shadow" : "enforce";
	const rest = {
		tenants: some(random, TEXTS, 0.12),
		purposes: some(random, TEXTS, 0.12),
		claims:
			random() < 0.2 ? [{ claim: pick(random, ["scope", "org.unit", "level"]), values: some(random, TEXTS, 1) }] : [],
	};
	const matchesAll = [principals, users, groups, rest.tenants, rest.purposes, rest.claims].every(
		(list) => list.length === 0,
	);
	// Names in another order than they are declared in, because the first of several by name is reported.
	return accessPolicy(`${name}-p${9 - index}`, action, [name], {
		...rest,
		mode,
		principals: matchesAll && action === "allow" ? ["*"] : principals,
		users,
		groups,
		methods: some(random, METHODS, 0.25),
		pathPrefixes: some(random, PREFIXES, 0.25),
		pathTemplates: some(random, TEMPLATES, 0.25),
		variants: some(random, ["v1", "v2"], 0.2),
		regions: some(random, REGIONS, 0.2),
	});
}
