/**
 * A whole declaration as one question: what would the verdict on this request be? For `weir policy test` and
 * `weir policy diff`, which know no Envoy. Tokens are taken as verified: signed, in time, for us, and proved where they are
 * bound; of an issuer that the Gateway does not trust, or with claims that no execution takes, they are invalid, as
 * everywhere. The order is that of the executions (sidecar/answer.ts): what is not canonical, then the token, then the
 * rules; headers are not told here, and count as ordinary ones.
 */
import type { AccessTable } from "../../compiler/plan.js";
import { hostOwners } from "../../resources/hostOwner.js";
import {
	demandsClientCertificates,
	type Gateway,
	qualifiedName,
	type ResourceSet,
	type TokenIssuer,
	tlsFiles,
} from "../../resources/resource.js";
import { canonicalFault, type SentRequest } from "../requests/canonical.js";
import { domainOfId } from "../requests/principal.js";
import { judgedBy } from "../rules/judgedBy.js";
import {
	accessTable,
	compileAccess,
	compileShadow,
	isOpen,
	judgesUsers,
	readsUsers,
	type Verdict,
} from "../rules/policy.js";
import { isTimed, withTimes } from "../rules/timedRules.js";
import type { VerifiedToken } from "../users/token.js";
import { bindingFault, confirmationOf, shapeFault, verifiedToken } from "../users/tokenClaims.js";
import { literalsOf } from "./policyBounds.js";

/** A request as a table or a log tells it. */
export interface PolicyRequest {
	/** Qualified name; null = the one that has the host. */
	readonly service: string | null;
	/** As a client writes it; null = the Service is named, and reached at a proper one of its own. One of both is given. */
	readonly host: string | null;
	/** Qualified name; null = the only one that is declared, else none that is known. */
	readonly gateway: string | null;
	/** Instead of the Gateway's; null = the Gateway's. */
	readonly region: string | null;
	/** Whose certificate the caller has; at a Gateway that demands none nobody is asked for it. */
	readonly principal: string | null;
	/** Trusted proxy of the Gateway that brings it, and names the principal; null or left out = the caller's own connection. */
	readonly via?: string | null;
	/** Claims of a token that was verified (iss and sub among them); invalid = one that does not hold; null = none. */
	readonly token: Readonly<Record<string, unknown>> | "invalid" | null;
	readonly method: string;
	/** As Envoy has it after normalisation. Rules do not look at a query. */
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
	serviceOf(request: Asked): string | null;
	/** Whether the Service's verdicts read a token. */
	judgesUsers(service: string): boolean;
	/** Whether its verdict depends on the time: not where all rules that have one are about others. */
	dependsOnTime(request: Omit<PolicyRequest, "nowMs">): boolean;
	/** What the request names and nobody declares, with what could be meant: of it no verdict says anything. */
	undeclared(request: Pick<PolicyRequest, NameField>): readonly Undeclared[];
	/**
	 * Gateways that such a request can come through, of that name, in that region: with a principal those that demand client
	 * certificates, without one those that demand none; through a proxy those that trust it. [null] = none is declared, so that
	 * nothing of them is known.
	 */
	gatewaysOf(request: Entering): readonly (string | null)[];
	/** Why there is none; null = there is one, or it names what nobody declares. */
	barred(request: Entering): Barred | null;
	/** Whether a Gateway lets it in to be judged, with a principal perhaps as nobody; true where none is declared at all. */
	admits(request: Entering): boolean;
}

/** Where a request comes in, and as whom. */
type Entering = Pick<PolicyRequest, "gateway" | "region" | "principal" | "via">;

export interface Barred {
	/** What it says of itself that no Gateway fits. */
	readonly field: "principal" | "region" | "via";
	/** The one that was asked for; null = any of several. */
	readonly gateway: string | null;
	/** Trust domains that are taken there, where the principal's is none of them; null = it is not that. */
	readonly domains: readonly string[] | null;
	/** Others that the request can come through. */
	readonly others: readonly string[];
}

export type NameField = "service" | "host" | "gateway" | "region" | "variant";

/** Whom a request is for. */
type Asked = Pick<PolicyRequest, "service" | "host">;

export interface Undeclared {
	readonly field: NameField;
	readonly name: string;
	readonly known: readonly string[];
}

type Judged = Omit<JudgedRequest, "shadow">;

const NOT_CANONICAL: Judged = { allowed: false, reason: "not-canonical", policy: null };
const INVALID_TOKEN: Judged = { allowed: false, reason: "invalid-token", policy: null };
/** Reasons for which a request is refused before any rule. */
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
	/** As if the times of all rules held, and those of none; null = none has any. Made when it is first asked for. */
	readonly timed: (() => readonly [Ask, Ask]) | null;
}

/** @throws ConditionError or RangeError for what validation would have refused */
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
			timed: table.policies.some(isTimed) ? extremesOf(table, name) : null,
		};
	});
	const byName = new Map(compiled.map((service) => [service.name, service]));
	const ownerOf = hostOwners(services);
	// A host goes to who has it, also where a Service has the host for its name: that one is never asked.
	const find = ({ service, host }: Asked): CompiledService | null => {
		const owner = host === null ? null : ownerOf(domainOf(host));
		const name = host === null ? service : owner && qualifiedName(owner.metadata);
		return name === null ? null : (byName.get(name) ?? null);
	};
	const [only] = gateways.length === 1 ? gateways : [];
	const lets = (gateway: Gateway, { region, principal, via = null }: Entering): boolean =>
		(principal !== null || !demandsClientCertificates(gateway)) &&
		(via !== null || takesDomainOf(gateway, principal)) &&
		isIn(gateway, region) &&
		(via === null || trusts(gateway, via));
	const fits = (gateway: Gateway, request: Entering): boolean =>
		lets(gateway, request) && (request.principal === null || demandsClientCertificates(gateway));
	const askedFor = (name: string | null): readonly Gateway[] =>
		gateways.filter(({ metadata }) => name === null || qualifiedName(metadata) === name);
	const fitting = (request: Entering): readonly string[] =>
		gateways.filter((one) => fits(one, request)).map(({ metadata }) => qualifiedName(metadata));
	const placeOf = (name: string | null): Gateway | null =>
		name === null ? (only ?? null) : (gateways.find(({ metadata }) => qualifiedName(metadata) === name) ?? null);
	const judged = (request: PolicyRequest, service: CompiledService): JudgedRequest => {
		const { enforced, shadow } = service;
		const gateway = placeOf(request.gateway);
		const { principal, peer } = callerOf(request, gateway);
		const isNobodys = principal === null && peer !== null;
		const early = isNobodys || canonicalFault(sent(request)) !== null ? NOT_CANONICAL : null;
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
		const by = (rules: Ask, refused: typeof invalid): Judged => early ?? judgedBy(rules, question, peer, refused);
		const inForce = service.isOpen ? enforced(question) : by(enforced, service.judgesUsers ? invalid : null);
		// What is refused before any rule is refused in the dry run too, which then says nothing of its own.
		const isTold = shadow !== null && (service.isOpen || !EARLY.includes(inForce.reason));
		return { ...inForce, shadow: isTold ? by(shadow, invalid) : null };
	};
	return {
		serviceOf: (request) => find(request)?.name ?? null,
		judgesUsers: (service) => byName.get(service)?.readsUsers ?? false,
		dependsOnTime(request) {
			const service = find(request);
			if (service === null || service.timed === null) return false;
			const [all, none] = service.timed().map((enforced) => judged({ ...request, nowMs: 0 }, { ...service, enforced }));
			return all?.reason !== none?.reason || all?.policy !== none?.policy;
		},
		undeclared({ service: named, host, gateway, region, variant }) {
			const service = find({ service: named, host });
			const names = (field: NameField, name: string | null, known: readonly string[]): readonly Undeclared[] =>
				name === null || known.includes(name) ? [] : [{ field, name, known }];
			return [
				...(host === null ? names("service", named, [...byName.keys()]) : []),
				...(service === null
					? names(
							"host",
							host,
							services.flatMap(({ spec }) => spec.hosts),
						)
					: []),
				...names(
					"gateway",
					gateway,
					gateways.map(({ metadata }) => qualifiedName(metadata)),
				),
				...names("region", region, regionsOf({ gateways, accessPolicies })),
				...(service === null ? [] : names("variant", variant, service.variants)),
			];
		},
		gatewaysOf(request) {
			if (gateways.length === 0) return [null];
			return fitting(request).filter((name) => request.gateway === null || request.gateway === name);
		},
		barred(request) {
			const { region, principal, via = null } = request;
			const asked = askedFor(request.gateway);
			const isKnown = region === null || gateways.some((one) => isIn(one, region));
			if (asked.length === 0 || !isKnown || asked.some((one) => fits(one, request))) return null;
			const [gateway, ...more] = asked;
			const one = gateway === undefined || more.length > 0 ? null : gateway;
			if (via !== null && (one === null || !trusts(one, via)))
				return { field: "via", gateway: one && qualifiedName(one.metadata), domains: null, others: fitting(request) };
			const strict = asked.filter((each) => isIn(each, region) && !takesDomainOf(each, principal));
			const domains = via === null && strict.length > 0 ? strict.flatMap((each) => trustDomainsOf(each) ?? []) : null;
			const isElsewhere = domains === null && one !== null && demandsClientCertificates(one) === (principal !== null);
			return {
				field: isElsewhere ? "region" : "principal",
				gateway: one && qualifiedName(one.metadata),
				domains,
				others: fitting(request),
			};
		},
		admits(request) {
			return gateways.length === 0 || askedFor(request.gateway).some((one) => lets(one, request));
		},
		judge(request) {
			const service = find(request);
			if (service === null) return { allowed: false, reason: "unknown-service", policy: null, shadow: null };
			return judged(request, service);
		},
	};
}

function extremesOf(table: AccessTable, name: string): () => readonly [Ask, Ask] {
	let made: readonly [Ask, Ask] | null = null;
	return () => {
		made ??= [compileAccess(withTimes(table, true), name), compileAccess(withTimes(table, false), name)];
		return made;
	};
}

const isIn = ({ spec }: Gateway, region: string | null): boolean => region === null || spec.region === region;

/** A Service that is named, not its host, is reached at a proper one. */
function sent({ method, path, host }: PolicyRequest): SentRequest {
	return { method, path, host: host ?? "service.invalid", headerValues: () => [] };
}

/** Trust domains whose certificates it takes; null = any that its CA signs for, or the mesh's own, which no file names. */
export const trustDomainsOf = (gateway: Gateway): readonly string[] | null => tlsFiles(gateway)?.trustDomains ?? null;

function takesDomainOf(gateway: Gateway, principal: string | null): boolean {
	return principal === null || (trustDomainsOf(gateway)?.includes(domainOfId(principal) ?? "") ?? true);
}

const trusts = ({ spec }: Gateway, proxy: string): boolean => spec.trustedProxies.includes(proxy);

interface Caller {
	/** null with a peer: a trusted proxy that names nobody, whose own rights are not its clients'. */
	readonly principal: string | null;
	/** Of the connection. */
	readonly peer: string | null;
}

/** Who asks there, as the sidecar finds it (sidecar/answer.ts). */
function callerOf({ principal, via = null }: PolicyRequest, gateway: Gateway | null): Caller {
	if (gateway === null) return { principal, peer: via ?? principal };
	if (!demandsClientCertificates(gateway)) return { principal: null, peer: null };
	const peer = via ?? principal;
	if (peer === null || !trusts(gateway, peer)) return { principal: peer, peer };
	// It can name nobody of another trust domain than its own (forwardedClientCert.ts).
	const named = via !== null && principal !== null && domainOfId(principal) === domainOfId(via);
	return { principal: named ? principal : null, peer };
}

/** Where Gateways stand; of a declaration without Gateways, which others complete, what its rules speak of. */
function regionsOf({ gateways, accessPolicies }: Pick<ResourceSet, "gateways" | "accessPolicies">): readonly string[] {
	const regions =
		gateways.length > 0
			? gateways.flatMap(({ spec }) => spec.region ?? [])
			: accessPolicies.flatMap(({ spec }) => [...spec.regions, ...literalsOf(spec.condition ?? "")]);
	return [...new Set(regions)];
}

/** A host as Envoy looks for its domain: without regard to case, and without its port (strip_any_host_port). */
const domainOf = (host: string): string => host.replace(/^(\[[^\]]*\]|[^:]*):\d+$/, "$1").toLowerCase();

function readToken(claims: PolicyRequest["token"], gateway: Gateway | null): VerifiedToken | "invalid" | null {
	if (claims === null || claims === "invalid") return claims;
	const issuer = gateway?.spec.tokens.find((one) => one.issuer === claims.iss && mayHold(claims, one, gateway));
	return issuer === undefined ? "invalid" : verifiedToken(issuer, claims);
}

/** Whether a token with these claims can hold at all. What is left out of them is there as it must be, its binding too. */
function mayHold(claims: Readonly<Record<string, unknown>>, issuer: TokenIssuer, gateway: Gateway): boolean {
	if (shapeFault(claims) !== null) return false;
	const confirmation = confirmationOf(claims);
	if (confirmation === null) return true;
	if (confirmation === "unknown" || bindingFault(issuer, confirmation) !== null) return false;
	// Where no certificate is demanded nobody shows the one that it is bound to.
	return confirmation.certificate === null || demandsClientCertificates(gateway);
}
