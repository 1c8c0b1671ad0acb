/**
 * The verdict of a resource set on one request, for `weir policy test` and `weir policy diff`. Tokens count as signed,
 * current and proved if they are bound; claims that every execution refuses make them invalid. The order is the same as
 * in sidecar/answer.ts: canonical form, token, rules. Headers are not part of a request here.
 */
import { hostOwners } from "../../../declare/resources/hostOwner.js";
import {
	demandsClientCertificates,
	type Gateway,
	qualifiedName,
	type ResourceSet,
	type TokenIssuer,
	tlsFiles,
} from "../../../declare/resources/resource.js";
import { canonicalFault, type SentRequest } from "../requests/canonical.js";
import { domainOfId } from "../requests/principal.js";
import { judgeInOrder } from "../rules/judgmentOrder.js";
import {
	accessTable,
	compileAccess,
	compileShadow,
	isOpen,
	judgesUsers,
	readsUsers,
	type Verdict,
} from "../rules/policy.js";
import type { VerifiedToken } from "../users/token.js";
import { bindingFault, confirmationOf, shapeFault, verifiedToken } from "../users/tokenClaims.js";
import { timesOf } from "./boundaries.js";
import type { PolicyRequest } from "./policyRequest.js";

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
	serviceOf(request: Asked): string | null;
	/** Whether the Service's verdicts depend on tokens. */
	readsTokens(service: string): boolean;
	/** Whether the verdict differs between the times at which rules begin, end or turn. */
	dependsOnTime(request: Omit<PolicyRequest, "nowMs">): boolean;
	/** Names in the request that no resource declares. */
	undeclared(request: Pick<PolicyRequest, NameField>): readonly Undeclared[];
	/** Gateways that accept the caller's connection. [null] = no Gateway is declared. */
	gatewaysOf(request: Entering): readonly (string | null)[];
	/** Why each Gateway that the request may mean does not accept it; empty = one does. */
	refusals(request: Entering): readonly string[];
}

/** The Gateway of a request, and its client. */
export type Entering = Pick<PolicyRequest, "gateway" | "region" | "principal" | "via">;

export type NameField = "service" | "host" | "gateway" | "region" | "variant";

/** The Service of a request. */
type Asked = Pick<PolicyRequest, "service" | "host">;

export interface Undeclared {
	readonly field: NameField;
	readonly name: string;
	readonly known: readonly string[];
}

type Judged = Omit<JudgedRequest, "shadow">;

const NOT_CANONICAL: Judged = { allowed: false, reason: "not-canonical", policy: null };
const INVALID_TOKEN: Judged = { allowed: false, reason: "invalid-token", policy: null };
/** Reasons of a refusal before any rule. */
const EARLY: readonly Judged["reason"][] = ["not-canonical", "invalid-token"];

type Ask = ReturnType<typeof compileAccess>;

interface CompiledService {
	readonly name: string;
	readonly defaultVariant: string;
	readonly variants: readonly string[];
	readonly isOpen: boolean;
	readonly enforced: Ask;
	readonly shadow: Ask | null;
	readonly judgesUsers: boolean;
	readonly readsUsers: boolean;
	readonly timesMs: readonly number[];
}

/**
 * @throws ConditionError or RangeError for a declaration that validation refuses
 */
export function policyJudge({ services, accessPolicies, referenceGrants, gateways }: ResourceSet): PolicyJudge {
	const compiled = services.map((service): CompiledService => {
		const name = qualifiedName(service.metadata);
		const table = accessTable(service, accessPolicies, referenceGrants);
		return {
			name,
			defaultVariant: service.spec.defaultVariant,
			variants: service.spec.variants.map((variant) => variant.name),
			isOpen: isOpen(table),
			enforced: compileAccess(table, name),
			shadow: compileShadow(table, name),
			judgesUsers: judgesUsers(table),
			readsUsers: readsUsers(table),
			timesMs: timesOf(table.policies, 0),
		};
	});
	const byName = new Map(compiled.map((service) => [service.name, service]));
	const ownerOf = hostOwners(services);
	// A declared host wins over a Service with that name.
	const find = ({ service, host }: Asked): CompiledService | null => {
		const owner = host === null ? null : ownerOf(domainOf(host));
		const name = host === null ? service : owner && qualifiedName(owner.metadata);
		return name === null ? null : (byName.get(name) ?? null);
	};
	const [only] = gateways.length === 1 ? gateways : [];
	const named = (name: string | null): readonly Gateway[] =>
		gateways.filter(({ metadata }) => name === null || qualifiedName(metadata) === name);
	const placeOf = (name: string | null): Gateway | null =>
		name === null ? (only ?? null) : (gateways.find(({ metadata }) => qualifiedName(metadata) === name) ?? null);
	const judged = (request: PolicyRequest, service: CompiledService): JudgedRequest => {
		const { enforced, shadow } = service;
		const gateway = placeOf(request.gateway);
		const { principal, peer } = callerOf(request, gateway);
		const lacksClient = principal === null && peer !== null;
		const early = lacksClient || canonicalFault(sent(request)) !== null ? NOT_CANONICAL : null;
		const read = early === null && service.readsUsers ? readToken(request.token, gateway) : null;
		const invalid = read === "invalid" ? INVALID_TOKEN : null;
		const question = {
			principal,
			method: request.method,
			path: request.path.split(/[?#]/, 1)[0] ?? "",
			variant: request.variant ?? service.defaultVariant,
			token: read === "invalid" ? null : read,
			region: request.region ?? gateway?.spec.region ?? null,
			nowMs: request.nowMs,
		};
		const by = (rules: Ask, refused: typeof invalid): Judged => early ?? judgeInOrder(rules, question, peer, refused);
		const inForce = service.isOpen ? enforced(question) : by(enforced, service.judgesUsers ? invalid : null);
		// An earlier refusal applies to the dry run too, so it reports no difference.
		const judgesShadow = shadow !== null && (service.isOpen || !EARLY.includes(inForce.reason));
		return { ...inForce, shadow: judgesShadow ? by(shadow, invalid) : null };
	};
	return {
		serviceOf: (request) => find(request)?.name ?? null,
		readsTokens: (service) => byName.get(service)?.readsUsers ?? false,
		dependsOnTime(request) {
			const service = find(request);
			if (service === null) return false;
			const verdicts = service.timesMs.map((nowMs) => judged({ ...request, nowMs }, service));
			return new Set(verdicts.map(({ reason, policy }) => `${reason} ${policy}`)).size > 1;
		},
		undeclared(request) {
			const service = find(request);
			const known: Readonly<Record<NameField, readonly string[]>> = {
				service: [...byName.keys()],
				host: service === null ? services.flatMap(({ spec }) => spec.hosts) : [request.host ?? ""],
				gateway: gateways.map(({ metadata }) => qualifiedName(metadata)),
				region: gateways.length === 0 ? [request.region ?? ""] : gateways.flatMap(({ spec }) => spec.region ?? []),
				variant: service?.variants ?? [request.variant ?? ""],
			};
			return (Object.keys(known) as readonly NameField[]).flatMap((field) => {
				const name = request[field];
				return name === null || known[field].includes(name) ? [] : [{ field, name, known: known[field] }];
			});
		},
		gatewaysOf(request) {
			if (gateways.length === 0) return [null];
			return named(request.gateway)
				.filter((gateway) => entryFault(gateway, request) === null)
				.map(({ metadata }) => qualifiedName(metadata));
		},
		refusals(request) {
			const faults = named(request.gateway).map((gateway) => {
				const fault = entryFault(gateway, request);
				return fault === null ? null : `Gateway ${qualifiedName(gateway.metadata)} ${fault}`;
			});
			return faults.includes(null) ? [] : faults.filter((fault) => fault !== null);
		},
		judge(request) {
			const service = find(request);
			if (service === null) return { allowed: false, reason: "unknown-service", policy: null, shadow: null };
			return judged(request, service);
		},
	};
}

/** null = the Gateway accepts the connection. */
function entryFault(gateway: Gateway, { region, principal, via = null }: Entering): string | null {
	if (region !== null && gateway.spec.region !== region) return `is not in region ${JSON.stringify(region)}`;
	if (via !== null && !trusts(gateway, via)) return `does not trust the proxy ${via}`;
	if (demandsClientCertificates(gateway) !== (principal !== null))
		return principal === null
			? "demands client certificates: add principal: to the request"
			: "demands no client certificates: remove principal: from the request";
	const domains = trustDomainsOf(gateway);
	if (via !== null || principal === null || domains === null || domains.includes(domainOfId(principal) ?? ""))
		return null;
	return `accepts only principals of ${domains.join(" or ")}`;
}

/** A Service that is named without a host is called at a valid one. */
function sent({ method, path, host }: PolicyRequest): SentRequest {
	return { method, path, host: host ?? "service.invalid", headerValues: () => [] };
}

/** Trust domains whose certificates it accepts; null = any that its CA signs for, or the mesh's own, which no file names. */
export const trustDomainsOf = (gateway: Gateway): readonly string[] | null => tlsFiles(gateway)?.trustDomains ?? null;

const trusts = ({ spec }: Gateway, proxy: string): boolean => spec.trustedProxies.includes(proxy);

interface Caller {
	/** null with a peer = a trusted proxy that reports no client; the proxy's own rights do not apply. */
	readonly principal: string | null;
	/** The client of the connection. */
	readonly peer: string | null;
}

/** The caller, as sidecar/answer.ts finds it. */
function callerOf({ principal, via = null }: PolicyRequest, gateway: Gateway | null): Caller {
	if (gateway === null) return { principal, peer: via ?? principal };
	if (!demandsClientCertificates(gateway)) return { principal: null, peer: null };
	const peer = via ?? principal;
	if (peer === null || !trusts(gateway, peer)) return { principal: peer, peer };
	// It can vouch only for its own trust domain (forwardedClientCert.ts).
	const named = via !== null && principal !== null && domainOfId(principal) === domainOfId(via);
	return { principal: named ? principal : null, peer };
}

/** A host as Envoy matches domains: ignoring case and port (strip_any_host_port). */
const domainOf = (host: string): string => host.replace(/^(\[[^\]]*\]|[^:]*):\d+$/, "$1").toLowerCase();

function readToken(claims: PolicyRequest["token"], gateway: Gateway | null): VerifiedToken | "invalid" | null {
	if (claims === null || claims === "invalid") return claims;
	const issuer = gateway?.spec.tokens.find((one) => one.issuer === claims.iss && mayHold(claims, one, gateway));
	return issuer === undefined ? "invalid" : verifiedToken(issuer, claims);
}

/** Whether a token with these claims can be valid. Missing claims count as valid, its binding too. */
function mayHold(claims: Readonly<Record<string, unknown>>, issuer: TokenIssuer, gateway: Gateway): boolean {
	if (shapeFault(claims) !== null) return false;
	const confirmation = confirmationOf(claims);
	if (confirmation === null) return true;
	if (confirmation === "unknown" || bindingFault(issuer, confirmation) !== null) return false;
	// Without client certificates no client presents the bound one.
	return confirmation.certificate === null || demandsClientCertificates(gateway);
}
