/**
 * The judge: the expected result of a generated request, from the declaration alone. It shares no code with src
 * (types apart), to find faults that all executions share.
 */
import type { AccessPolicy, Gateway, Service, TokenIssuer } from "../../../src/declare/resources/resource.js";
import type { Shown } from "./tokens.js";

export interface SecureRequest {
	readonly service: Service;
	readonly policies: readonly AccessPolicy[];
	readonly gateway: Gateway;
	/** SPIFFE id; null = none. */
	readonly caller: string | null;
	readonly method: string;
	/** Canonical already, without query. */
	readonly path: string;
	readonly shown: Shown;
}

export interface Judgement {
	readonly reason: string;
	/** The policy that denied. */
	readonly policy: string | null;
	/** Whether shadow policies would let it pass; null = there are none, or it is refused before them. */
	readonly shadow: boolean | null;
	/** The shadow policies' refusal of an allowed request: the reason, and the policy or `-`; else null. */
	readonly why: string | null;
}

const refused = (reason: string): Judgement => ({ reason, policy: null, shadow: null, why: null });

export function judge(request: SecureRequest): Judgement {
	const { service, policies, gateway, shown, path } = request;
	const enforced = policies.filter(({ spec }) => spec.mode === "enforce");
	const open = service.spec.access === "open" && enforced.length === 0;
	if (!open && /;/.test(path)) return refused("not-canonical");
	const looksAtPaths = enforced.some(({ spec }) => spec.pathPrefixes.length + spec.pathTemplates.length > 0);
	if (!open && looksAtPaths && /%40/.test(path)) return refused("not-canonical");
	const aboutUsers = ({ spec }: AccessPolicy): boolean =>
		spec.users.length + spec.groups.length + spec.tenants.length + spec.purposes.length + spec.claims.length > 0;
	const issuer = gateway.spec.tokens.find((own) => own.issuer === shown.claims.iss) ?? null;
	const invalid = shown.kind === "bad" || (shown.kind === "good" && issuer === null);
	// A shadow policy about users refuses nothing; were it enforced, the token would be refused.
	if (enforced.some(aboutUsers) && invalid) return refused("invalid-token");
	const token = shown.kind === "good" && issuer !== null ? { issuer, claims: shown.claims } : null;
	const verdict = by(enforced, request, token);
	const wouldLook = policies.some(({ spec }) => spec.pathPrefixes.length + spec.pathTemplates.length > 0);
	// Were a shadow policy enforced, an open Service would be a protected one.
	const would =
		(open && /;/.test(path)) || (wouldLook && /;|%40/.test(path))
			? { allowed: false, ...refused("not-canonical") }
			: policies.some(aboutUsers) && invalid
				? { allowed: false, ...refused("invalid-token") }
				: by(policies, request, token);
	const tried = policies.length === enforced.length ? null : would.allowed;
	const why = tried === false && (open || verdict.allowed) ? `${would.reason} ${would.policy ?? "-"}` : null;
	if (open) return { reason: "open", policy: null, shadow: tried, why };
	return { reason: verdict.reason, policy: verdict.policy, shadow: tried, why };
}

type Token = { readonly issuer: TokenIssuer; readonly claims: Readonly<Record<string, unknown>> } | null;

function by(policies: readonly AccessPolicy[], request: SecureRequest, token: Token) {
	const fitting = policies.filter((policy) => fits(policy, request, token));
	// The first by name counts; all of a Service are of its namespace.
	const [denial] = fitting.flatMap(({ metadata, spec }) => (spec.action === "deny" ? [metadata.name] : [])).sort();
	if (denial !== undefined) return { allowed: false, reason: "forbidden", policy: denial };
	return fitting.length > 0
		? { allowed: true, reason: "allowed", policy: null }
		: { allowed: false, reason: "no-policy-allows", policy: null };
}

function fits(
	{ spec }: AccessPolicy,
	{ caller, method, path, gateway, service }: SecureRequest,
	token: Token,
): boolean {
	const deny = spec.action === "deny";
	const callerFits = (pattern: string): boolean => {
		if (caller === null) return false;
		if (pattern === "*") return true;
		if (!pattern.endsWith("/*")) return pattern === caller;
		const [wanted, segments] = [pattern.split("/").slice(0, -1), caller.split("/")];
		return segments.length > wanted.length && wanted.every((segment, index) => segments[index] === segment);
	};
	if (spec.principals.length > 0 && !spec.principals.some(callerFits)) return false;
	const texts = (claim: string): readonly string[] => (token === null ? [] : textsOf(token.claims, claim));
	const has = (values: readonly string[], claim: string | undefined): boolean =>
		values.length === 0 || (claim !== undefined && texts(claim).some((text) => values.includes(text)));
	if (spec.users.length > 0) {
		const own = token === null ? null : `${token.issuer.issuer}#${token.claims.sub}`;
		const anyOf = token === null || !token.claims.sub ? [] : ["*", `${token.issuer.issuer}#*`];
		if (own === null || ![own, ...anyOf].some((one) => spec.users.includes(one))) return false;
	}
	if (!has(spec.groups, token?.issuer.groupsClaim)) return false;
	if (!has(spec.tenants, token?.issuer.tenantClaim)) return false;
	if (!has(spec.purposes, token?.issuer.purposeClaim)) return false;
	if (!spec.claims.every(({ claim, values }) => token !== null && has(values, claim))) return false;
	if (spec.methods.length > 0 && !spec.methods.includes(method)) return false;
	if (spec.pathPrefixes.length + spec.pathTemplates.length > 0) {
		const below = spec.pathPrefixes.some((prefix) => prefix === "/" || `${path}/`.startsWith(`${prefix}/`));
		if (!below && !spec.pathTemplates.some((template) => fitsTemplate(path, template))) return false;
	}
	if (spec.variants.length > 0 && !spec.variants.includes(service.spec.defaultVariant)) return false;
	const { region } = gateway.spec;
	return spec.regions.length === 0 || (region === null ? deny : spec.regions.includes(region));
}

function fitsTemplate(path: string, template: string): boolean {
	const [wanted, segments] = [template.split("/"), path.split("/")];
	return (
		wanted.length === segments.length &&
		wanted.every((part, index) => (part.startsWith("{") ? segments[index] !== "" : part === segments[index]))
	);
}

function textsOf(claims: Readonly<Record<string, unknown>>, claim: string): readonly string[] {
	let value: unknown = claims;
	for (const name of claim.startsWith("https:") ? [claim] : claim.split(".")) {
		if (typeof value !== "object" || value === null || Array.isArray(value)) return [];
		value = (value as Record<string, unknown>)[name];
	}
	if (typeof value === "string") return claim === "scope" ? value.split(" ").filter((word) => word !== "") : [value];
	return Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
}
