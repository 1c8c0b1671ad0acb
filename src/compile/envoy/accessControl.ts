/**
 * Access rules as Envoy RBAC, in three filters. weir.gate runs before token verification and refuses requests that no rule
 * should judge. weir.deny comes before weir.allow, so that a deny wins. The allow filter's base configuration allows no
 * request, so a virtual host without configuration is closed, not open. Their shadow rules are all rules, enforced and
 * shadow, and at an open Service those of the gate. They only report in metadata what they would have decided.
 */

import { SPIFFE_ID_BYTES_MAX } from "../../limits/index.js";
import { isOpen, judgesPath } from "../access/rules/accessTable.js";
import { judgesPaths, judgesUsers, judgesVariants, readsUsers } from "../access/rules/policy.js";
import type { ReportedResults } from "../access/shadow.js";
import type { AccessTable, PolicyTable } from "../plan/compiledPlan.js";
import {
	ambiguousPaths,
	invalidPaths,
	longPaths,
	NOT_SHORT,
	notCanonicalRules,
	PROBE_RULE,
	probeRule,
	upgradeRule,
} from "./canonical.js";
import { call, field, ident, integer } from "./celTree.js";
import { IN_FORCE_FIRST, ruleOf } from "./denial.js";
import { LOOP, loopRule } from "./loopDetection.js";
import { type AccessPlace, policyRule } from "./policyRule.js";
import { CLIENT_CERTIFICATE, ONE_IDENTITY } from "./principalRule.js";
import { tokenRules } from "./tokenRules.js";

export const GATE_FILTER = "weir.gate";
export const DENY_FILTER = "weir.deny";
export const ALLOW_FILTER = "weir.allow";

/** Name of the rule that a certificate must name one caller. In response details Envoy writes `_` for a space. */
export const NO_SINGLE_IDENTITY = "(no single identity)";
/** The rule that its id is not longer than SPIFFE allows; clients get the same reason. */
const IDENTITY_TOO_LONG = "(no single identity) too long";

const RBAC = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC";
const RBAC_PER_ROUTE = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBACPerRoute";

/** Separate counters for the gate, so that counters without a prefix are verdicts by policies (`weir probe` reads them). */
const GATE_STATS = "weir_gate_";
/** A separate counter of requests that passed the last native filter: access/bypass/served.ts. */
const ALLOW_STATS = "weir_allow_";

/** Prefix of shadow rules, in statistics (from the filter) and in metadata (from the route). */
const SHADOW_DENY = "weir_deny_";
const SHADOW_ALLOW = "weir_allow_";
/**
 * Marks that only the allow result, or only the other one, holds whatever untried policies decide:
 * events/receive/accessRecords/shadow.ts.
 */
const SHADOW_ALLOW_ALONE = "weir_would_allow_";
const SHADOW_DENY_ALONE = "weir_would_deny_";

/** Before token verification. Always present, like the others. */
export const gateFilter = (): object => ({
	name: GATE_FILTER,
	typed_config: { "@type": RBAC, rules_stat_prefix: GATE_STATS },
});

/**
 * Both HTTP filters, always present. They come with the listener and their rules with the routes, so a filter that arrived
 * first would refuse open Services until the routes follow.
 */
export function accessFilters(): readonly object[] {
	return [
		{ name: DENY_FILTER, typed_config: { "@type": RBAC, shadow_rules_stat_prefix: SHADOW_DENY } },
		{
			name: ALLOW_FILTER,
			typed_config: {
				"@type": RBAC,
				rules: { action: "ALLOW", policies: {} },
				rules_stat_prefix: ALLOW_STATS,
				shadow_rules_stat_prefix: SHADOW_ALLOW,
			},
		},
	];
}

/** No check: the Service is open. RBACPerRoute without rbac turns the filter off. */
const OFF = { "@type": RBAC_PER_ROUTE };

/**
 * typed_per_filter_config of a virtual host before tokens. The sidecar gets only one identity of a certificate, so one with
 * several identities, or none, is refused here for both executions.
 * @param place mark: of the Service behind the Gateway; a request with it is a loop (loopDetection.ts)
 */
export function gatePerRoute(
	access: AccessTable,
	{ identifies, mark }: Pick<AccessPlace, "identifies"> & { readonly mark: string },
) {
	const judged = isOpen(access) ? {} : gateRules(judgesPaths(access), identifies);
	const policies = { [LOOP]: loopRule(mark), ...judged };
	return { [GATE_FILTER]: perRoute({ rules: { action: "DENY", policies }, rules_stat_prefix: GATE_STATS }) };
}

/** Requests that no rule of a protected Service should judge, by rule name. */
const gateRules = (onPaths: boolean, identifies: boolean): Readonly<Record<string, object>> => ({
	...notCanonicalRules(onPaths),
	...(identifies ? { [NO_SINGLE_IDENTITY]: noSingleIdentity(), [IDENTITY_TOO_LONG]: tooLongIdentity() } : {}),
});

/** typed_per_filter_config if the sidecar decides. */
export const accessBySidecar = (): Record<string, object> => ({ [ALLOW_FILTER]: OFF });

/**
 * typed_per_filter_config that decides access natively, for a virtual host or (replacing the host's) for one weighted entry.
 * An open Service has no check. One that is neither open nor selected by a policy (`validate` refuses it) is closed.
 * @param variant the Variant of the requests: policies of other Variants are left out
 * @param reported which results of the shadow allows are valid
 */
export function accessPerRoute(
	access: AccessTable,
	variant: string,
	place: AccessPlace,
	reported: ReportedResults = { denied: true, allowed: true },
): Record<string, object> {
	const users = judgesUsers(access);
	const shadows = access.policies.some(({ shadow }) => shadow);
	const open = isOpen(access);
	if (open && !shadows) return { [ALLOW_FILTER]: OFF };
	const here = access.policies.filter((policy) => concerns(policy, variant, place));
	const rules = (action: PolicyTable["action"], shadow: boolean) =>
		Object.fromEntries(
			here
				.filter((policy) => policy.action === action && (shadow || !policy.shadow))
				.map((policy) => [ruleOf(policy.name), policyRule(policy, place)]),
		);
	const tokens = readsUsers(access) ? tokenRules(place.gateway.issuers) : {};
	const denials = { ...(users ? tokens : {}), ...(open ? {} : { [PROBE_RULE]: probeRule(), ...rules("deny", false) }) };
	// A token that only shadow policies look at is never refused, only reported.
	const shadowTokens = users ? {} : tokens;
	const first = open ? inForce(access, place) : ambiguity(access);
	const shadowDenials = shadows ? { ...shadowTokens, ...first, ...rules("deny", true) } : {};
	const deny = {
		...(Object.keys(denials).length === 0 ? {} : { rules: { action: "DENY", policies: denials } }),
		...(Object.keys(shadowDenials).length === 0 ? {} : shadow(SHADOW_DENY, "DENY", shadowDenials)),
	};
	const prefix = allowPrefix(reported);
	const shadowAllows = { ...notTried(access), ...rules("allow", true) };
	const allow = {
		...(open ? {} : { rules: { action: "ALLOW", policies: rules("allow", false) } }),
		...(shadows && prefix !== null ? shadow(prefix, "ALLOW", shadowAllows) : {}),
	};
	return {
		...(Object.keys(deny).length > 0
			? { [DENY_FILTER]: perRoute(deny) }
			: // Where Variants differ, an entry without a denial must not inherit its virtual host's.
				judgesVariants(access)
				? { [DENY_FILTER]: OFF }
				: {}),
		[ALLOW_FILTER]: Object.keys(allow).length === 0 ? OFF : perRoute(allow),
	};
}

/** null = neither result is reported. */
function allowPrefix({ denied, allowed }: ReportedResults): string | null {
	if (denied && allowed) return SHADOW_ALLOW;
	return allowed ? SHADOW_ALLOW_ALONE : denied ? SHADOW_DENY_ALONE : null;
}

/**
 * First in name order, in which Envoy takes the first match, like the gate if the policies were in force. So no shadow rule
 * reads a long path, which the gate allows if no enforced rule looks at paths.
 */
const AMBIGUOUS_LENGTH = "(ambiguous path length)";
const AMBIGUOUS = "(ambiguous path)";

/** If the shadow policies were in force, ambiguous paths would be refused if one of them looks at paths. */
const ambiguity = (access: AccessTable): Readonly<Record<string, object>> =>
	isFirstOnPaths(access) ? { [AMBIGUOUS_LENGTH]: longPaths(), [AMBIGUOUS]: ambiguousPaths() } : {};

/** If its shadow policies were in force, an open Service would be protected, with all refusals of protected Services. */
function inForce(access: AccessTable, { identifies }: AccessPlace): Readonly<Record<string, object>> {
	const early = { ...upgradeRule(), ...gateRules(isFirstOnPaths(access), identifies) };
	const named = Object.entries(early).map(([name, rule]) => [IN_FORCE_FIRST + name, rule]);
	return { ...Object.fromEntries(named), [PROBE_RULE]: probeRule() };
}

/** Shadow allows for refusals that the shadow denial has already reported (events/receive/accessRecords/shadow.ts). */
const notTried = (access: AccessTable): Readonly<Record<string, object>> =>
	isFirstOnPaths(access) ? { [AMBIGUOUS_LENGTH]: longPaths(), [AMBIGUOUS]: invalidPaths() } : {};

/** Only shadow policies look at paths; otherwise the gate has refused ambiguous ones. */
const isFirstOnPaths = (access: AccessTable): boolean => !judgesPaths(access) && access.policies.some(judgesPath);

const perRoute = (rbac: object): object => ({ "@type": RBAC_PER_ROUTE, rbac });

const shadow = (prefix: string, action: "ALLOW" | "DENY", policies: object): object => ({
	shadow_rules: { action, policies },
	shadow_rules_stat_prefix: prefix,
});

/**
 * Whether the policy can match requests through this Gateway to that Variant. A Gateway without a region has an unknown one:
 * it matches denials only.
 */
function concerns({ action, variants, more }: PolicyTable, variant: string, { gateway }: AccessPlace): boolean {
	if (variants.length > 0 && !variants.includes(variant)) return false;
	const regions = more?.regions ?? [];
	if (regions.length === 0) return true;
	return gateway.region === null ? action === "deny" : regions.includes(gateway.region);
}

/**
 * A certificate that is no X.509-SVID, which has exactly one URI SAN (X509-SVID section 2). Of several RBAC matches any and
 * the sidecar gets the first, or a DNS name if there is none, so a caller could choose its identity. The header is written by
 * Envoy (forward_client_cert_details: SANITIZE_SET) for every certificate.
 */
const certificateFits = (regex: string): object => ({
	header: { name: CLIENT_CERTIFICATE, string_match: { safe_regex: { regex } } },
});

const noSingleIdentity = (): object => ({
	permissions: [{ any: true }],
	principals: [{ not_id: certificateFits(ONE_IDENTITY) }],
});

/** In CEL: the header has more than the id. */
const tooLongIdentity = (): object => ({
	permissions: [{ any: true }],
	principals: [certificateFits(`[ -~]*;URI=${NOT_SHORT}`)],
	condition: call(
		"_>_",
		call("size", field(ident("connection"), "uri_san_peer_certificate")),
		integer(SPIFFE_ID_BYTES_MAX),
	),
});
