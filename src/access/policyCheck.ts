/**
 * A whole declaration as one question: what would the verdict on this request be? For `weir policy test` and
 * `weir policy diff`, which know no Envoy. Tokens are taken as verified; of an issuer that the Gateway does not trust
 * they are invalid, as everywhere.
 */
import { qualifiedName, type ResourceSet, type TokenIssuer } from "../resources/resource.js";
import { claimTexts } from "./claim.js";
import { accessTable, compileAccess, compileShadow, judgesUsers, type Verdict } from "./policy.js";
import type { VerifiedToken } from "./token.js";

/** A request as a table or a log tells it. */
export interface PolicyRequest {
	/** Qualified name, or one of its hosts. */
	readonly service: string;
	/** Qualified name; null = the only one that is declared, else none that is known. */
	readonly gateway: string | null;
	/** Instead of the Gateway's; null = the Gateway's. */
	readonly region: string | null;
	readonly principal: string | null;
	/** Claims of a token that was verified (iss and sub among them); invalid = one that does not hold; null = none. */
	readonly token: Readonly<Record<string, unknown>> | "invalid" | null;
	readonly method: string;
	/** A query is left out of account. */
	readonly path: string;
	/** null = the default Variant. */
	readonly variant: string | null;
	/** Epoch milliseconds. */
	readonly nowMs: number;
}

export interface JudgedRequest {
	readonly allowed: boolean;
	readonly reason: Verdict["reason"] | "unknown-service" | "invalid-token";
	/** AccessPolicy that decided, by qualified name; null = none. */
	readonly policy: string | null;
	/** The same as if shadow policies were enforced; null = there are none. */
	readonly shadow: Omit<JudgedRequest, "shadow"> | null;
}

export interface PolicyJudge {
	judge(request: PolicyRequest): JudgedRequest;
	/** Qualified name of the Service that the request is for; null = there is none. */
	serviceOf(nameOrHost: string): string | null;
	/** Whether the Service's verdicts read a token. */
	judgesUsers(service: string): boolean;
	/** Whether they depend on the time. */
	judgesTime(service: string): boolean;
}

type Ask = ReturnType<typeof compileAccess>;

interface CompiledService {
	readonly name: string;
	readonly hosts: readonly string[];
	readonly defaultVariant: string;
	readonly enforced: Ask;
	readonly shadow: Ask | null;
	readonly judgesUsers: boolean;
	readonly judgesTime: boolean;
}

/** @throws ConditionError or RangeError for what validation would have refused */
export function policyJudge({ services, accessPolicies, gateways }: ResourceSet): PolicyJudge {
	const compiled = services.map((service): CompiledService => {
		const name = qualifiedName(service.metadata);
		const table = accessTable(service, accessPolicies);
		return {
			name,
			hosts: service.spec.hosts,
			defaultVariant: service.spec.defaultVariant,
			enforced: compileAccess(table, name),
			shadow: compileShadow(table, name),
			judgesUsers: judgesUsers(table),
			judgesTime: table.policies.some(
				({ more }) =>
					more !== null &&
					(more.schedule !== null ||
						more.validFromMs !== null ||
						more.validUntilMs !== null ||
						/\btime\b/.test(more.condition ?? "")),
			),
		};
	});
	const byName = new Map(compiled.map((service) => [service.name, service]));
	const find = (nameOrHost: string): CompiledService | null =>
		byName.get(nameOrHost) ??
		compiled.find(({ hosts }) => hosts.includes(nameOrHost)) ??
		// The longest wildcard wins, as in Envoy's domains.
		compiled
			.flatMap((service) => service.hosts.filter((host) => fits(nameOrHost, host)).map((host) => ({ service, host })))
			.sort((left, right) => right.host.length - left.host.length)[0]?.service ??
		null;
	const [only] = gateways.length === 1 ? gateways : [];
	const placeOf = (name: string | null) =>
		name === null ? (only ?? null) : (gateways.find(({ metadata }) => qualifiedName(metadata) === name) ?? null);
	return {
		serviceOf: (nameOrHost) => find(nameOrHost)?.name ?? null,
		judgesUsers: (service) => byName.get(service)?.judgesUsers ?? false,
		judgesTime: (service) => byName.get(service)?.judgesTime ?? false,
		judge(request) {
			const service = find(request.service);
			if (service === null) return { allowed: false, reason: "unknown-service", policy: null, shadow: null };
			const gateway = placeOf(request.gateway);
			const issuers =
				request.gateway === null && gateway === null
					? gateways.flatMap(({ spec }) => spec.tokens)
					: (gateway?.spec.tokens ?? []);
			const token = service.judgesUsers ? readToken(request.token, issuers) : null;
			if (token === "invalid") return { allowed: false, reason: "invalid-token", policy: null, shadow: null };
			const question = {
				principal: request.principal,
				method: request.method,
				path: request.path.split(/[?#]/, 1)[0] ?? "",
				variant: request.variant ?? service.defaultVariant,
				token,
				region: request.region ?? gateway?.spec.region ?? null,
				nowMs: request.nowMs,
			};
			return { ...service.enforced(question), shadow: service.shadow?.(question) ?? null };
		},
	};
}

/** `*.` matches any subdomain. */
const fits = (host: string, pattern: string): boolean =>
	pattern.startsWith("*.") && host.length > pattern.length - 1 && host.endsWith(pattern.slice(1));

function readToken(claims: PolicyRequest["token"], issuers: readonly TokenIssuer[]): VerifiedToken | "invalid" | null {
	if (claims === null || claims === "invalid") return claims;
	const issuer = issuers.find((one) => one.issuer === claims.iss);
	if (issuer === undefined) return "invalid";
	return {
		issuer: issuer.issuer,
		subject: typeof claims.sub === "string" ? claims.sub : null,
		claims,
		groups: claimTexts(claims, issuer.groupsClaim),
		tenants: claimTexts(claims, issuer.tenantClaim),
		purposes: claimTexts(claims, issuer.purposeClaim),
	};
}
