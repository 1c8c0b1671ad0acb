/** One AccessPolicy as an RBAC policy: conditions on the request, and on its caller. */

import type { TokenIssuer } from "../../declare/resources/resource.js";
import { templateSegments } from "../access/requests/path.js";
import { namesCaller, nativeObstacle } from "../access/rules/policy.js";
import type { GatewayTable, PolicyTable } from "../plan/compiledPlan.js";
import { callerIs } from "./principalRule.js";
import {
	ANY_PRINCIPAL,
	allOf,
	claimFits,
	claimIs,
	NO_PRINCIPAL,
	type PrincipalRule,
	someOf,
	textIs,
} from "./tokenMetadata.js";

/** Context of a rule: the place that a request passes through. */
export interface AccessPlace {
	readonly gateway: GatewayTable;
	/** The Gateway requires client certificates; otherwise no caller is identified. */
	readonly identifies: boolean;
}

/** Variants and regions are left out: they are known at this place, and policies that do not match them are not compiled. */
export function policyRule(policy: PolicyTable, { gateway, identifies }: AccessPlace): object {
	// Rare conditions first: most rules of a Service have the same methods, and the first mismatch ends the rule.
	const conditions = [...pathRules(policy), ...methodRules(policy)];
	return {
		permissions: [conditions.length === 0 ? { any: true } : { and_rules: { rules: conditions } }],
		principals: [who(policy, gateway.issuers, identifies)],
	};
}

function methodRules({ methods }: PolicyTable): readonly object[] {
	return methods.length === 0 ? [] : [{ or_rules: { rules: methods.map(methodIs) } }];
}

function pathRules({ pathPrefixes, more }: PolicyTable): readonly object[] {
	const rules = [...pathPrefixes.flatMap(pathIsUnder), ...(more?.pathTemplates ?? []).map(pathFits)];
	return rules.length === 0 ? [] : [{ or_rules: { rules } }];
}

function who(policy: PolicyTable, issuers: readonly TokenIssuer[], identifies: boolean): PrincipalRule {
	// Envoy cannot judge this policy, so it is not compiled natively (execution.ts). As a safeguard it must not become wider.
	if (nativeObstacle(policy) !== null) return policy.action === "deny" ? ANY_PRINCIPAL : NO_PRINCIPAL;
	if (policy.action === "allow" && !namesCaller(policy)) return NO_PRINCIPAL;
	const { principals, more } = policy;
	const conditions = [
		...(principals.length === 0 ? [] : [someOf(principals.map((pattern) => callerIs(pattern, identifies)))]),
		...(more === null ? [] : userRules(more, issuers)),
	];
	return conditions.length === 0 ? ANY_PRINCIPAL : allOf(conditions);
}

/** All must hold. A user of another issuer than the Gateway's never matches. */
function userRules(more: NonNullable<PolicyTable["more"]>, issuers: readonly TokenIssuer[]): readonly PrincipalRule[] {
	const anyIssuer = (rule: (issuer: TokenIssuer) => PrincipalRule) => someOf(issuers.map(rule));
	const named = (values: readonly string[], claimOf: (issuer: TokenIssuer) => string) =>
		values.length === 0 ? [] : [anyIssuer((issuer) => claimIs(issuer, claimOf(issuer), values))];
	return [
		...(more.users.length === 0 ? [] : [someOf(more.users.map((user) => userIs(user, issuers)))]),
		...named(more.groups, ({ groupsClaim }) => groupsClaim),
		...named(more.tenants, ({ tenantClaim }) => tenantClaim),
		...named(more.purposes, ({ purposeClaim }) => purposeClaim),
		...more.claims.flatMap(({ claim, values }) => named(values, () => claim)),
	];
}

/** `ISSUER#SUB`, split at the first `#`; `ISSUER#*` any subject, `*` any user. */
function userIs(user: string, issuers: readonly TokenIssuer[]): PrincipalRule {
	if (user === "*") return someOf(issuers.map(anySubject));
	const cut = user.indexOf("#");
	const [name, subject] = [user.slice(0, cut), user.slice(cut + 1)];
	const issuer = issuers.find((own) => own.issuer === name);
	if (issuer === undefined || cut === -1 || subject === "") return NO_PRINCIPAL;
	return subject === "*" ? anySubject(issuer) : textIs(issuer, "sub", subject);
}

const anySubject = (issuer: TokenIssuer): PrincipalRule => claimFits(issuer, "sub", "(?s).+");

const methodIs = (method: string): object => ({ header: { name: ":method", string_match: { exact: method } } });

/** Whole segments: the prefix itself or any path below it, never `/v20` under `/v2`. */
function pathIsUnder(prefix: string): readonly object[] {
	const trimmed = prefix.endsWith("/") ? prefix.slice(0, -1) : prefix;
	const under = { url_path: { path: { prefix: `${trimmed}/` } } };
	return trimmed === "" ? [under] : [{ url_path: { path: { exact: trimmed } } }, under];
}

/** Whole paths; each `{name}` is one non-empty segment. */
function pathFits(template: string): object {
	const segments = templateSegments(template);
	const regex = segments.map((segment) => `/${segment === null ? "[^/]+" : escaped(segment)}`).join("");
	return { url_path: { path: { safe_regex: { regex } } } };
}

const escaped = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
