/**
 * Access rules as Envoy RBAC, in three filters. weir.gate, before any token is looked at, refuses what no rule should
 * be asked about. weir.deny comes before weir.allow, so that forbid wins; the allow filter's base configuration allows
 * nobody, so a virtual host that was forgotten is closed, not open. Their shadow rules are all rules, enforced and
 * shadow, and at an open Service those of the gate: they decide nothing, and tell in the request's metadata what they would
 * have decided.
 */

import { SPIFFE_ID_BYTES_MAX } from "../../limits/index.js";
import { judgesPaths, judgesUsers, judgesVariants, readsUsers } from "../access/rules/policy.js";
import { judgesPath } from "../access/rules/table.js";
import { isOpen } from "../table/execution.js";
import type { AccessTable, PolicyTable } from "../table/plan.js";
import type { Told } from "../table/shadow.js";
import {
	ambiguousPaths,
	longPaths,
	NOT_SHORT,
	notCanonicalRules,
	PROBE_RULE,
	probeRule,
	strangePaths,
	upgradeRule,
} from "./canonical.js";
import { call, field, ident, integer } from "./celTree.js";
import { IN_FORCE_FIRST, ruleOf } from "./denial.js";
import { LOOP, loopRule } from "./loop.js";
import { type AccessPlace, policyRule } from "./policyRule.js";
import { CLIENT_CERTIFICATE, ONE_IDENTITY } from "./principalRule.js";
import { tokenRules } from "./tokenRules.js";

export const GATE_FILTER = "weir.gate";
export const DENY_FILTER = "weir.deny";
export const ALLOW_FILTER = "weir.allow";

/** Name of the rule that a certificate must name one caller. In response details Envoy writes `_` for a space. */
export const NO_SINGLE_IDENTITY = "(no single identity)";
/** And that its id is no longer than SPIFFE allows; the same reason to a client. */
const IDENTITY_TOO_LONG = "(no single identity) too long";

const RBAC = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC";
const RBAC_PER_ROUTE = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBACPerRoute";

/** Counters of the gate apart, so that those without a prefix are verdicts by policies (`weir probe` looks at them). */
const GATE_STATS = "weir_gate_";
/** What passed the last of the native filters is counted apart: access/bypass/served.ts. */
const ALLOW_STATS = "weir_allow_";

/** What names of shadow rules begin with, in statistics (Envoy takes them from the filter) and in metadata (from the route). */
const SHADOW_DENY = "weir_deny_";
const SHADOW_ALLOW = "weir_allow_";
/** Where only that it allows, or only that it does not, holds whatever untried policies would say: events/decisions/shadow.ts. */
const SHADOW_ALLOW_ALONE = "weir_would_allow_";
const SHADOW_DENY_ALONE = "weir_would_deny_";

/** Before tokens are verified. Always there, as the others are. */
export const gateFilter = (): object => ({
	name: GATE_FILTER,
	typed_config: { "@type": RBAC, rules_stat_prefix: GATE_STATS },
});

/**
 * Both HTTP filters, always there: they come with the listener, their rules with the routes, and a filter that came
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

/** No check by Envoy: the Service is open. RBACPerRoute without rbac switches the filter off. */
const OFF = { "@type": RBAC_PER_ROUTE };

/**
 * typed_per_filter_config of a virtual host before tokens. The sidecar is told one identity of a certificate, so that
 * one with several, or with none, stays out here whoever judges.
 * @param place mark: of the Service behind the Gateway; what comes with it has been here before (loop.ts)
 */
export function gatePerRoute(
	access: AccessTable,
	{ identifies, mark }: Pick<AccessPlace, "identifies"> & { readonly mark: string },
) {
	const judged = isOpen(access) ? {} : gateRules(judgesPaths(access), identifies);
	const policies = { [LOOP]: loopRule(mark), ...judged };
	return { [GATE_FILTER]: perRoute({ rules: { action: "DENY", policies }, rules_stat_prefix: GATE_STATS }) };
}

/** What no rule of a protected Service should be asked about, by name. */
const gateRules = (onPaths: boolean, identifies: boolean): Readonly<Record<string, object>> => ({
	...notCanonicalRules(onPaths),
	...(identifies ? { [NO_SINGLE_IDENTITY]: noSingleIdentity(), [IDENTITY_TOO_LONG]: tooLongIdentity() } : {}),
});

/** typed_per_filter_config where the sidecar decides. */
export const accessBySidecar = (): Record<string, object> => ({ [ALLOW_FILTER]: OFF });

/**
 * typed_per_filter_config that decides access natively, for a virtual host or (it replaces the host's) for one
 * weighted entry. An open Service gets no check; one that is neither open nor selected by a policy (`validate`
 * refuses it) is closed to everyone.
 * @param variant the Variant that the requests go to: policies of other Variants are left out.
 * @param told which results of the shadow allows hold.
 */
export function accessPerRoute(
	access: AccessTable,
	variant: string,
	place: AccessPlace,
	told: Told = { denied: true, allowed: true },
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
	// A token that only shadow policies look at is refused by nobody: that it would be is told.
	const shadowTokens = users ? {} : tokens;
	const first = open ? inForce(access, place) : ambiguity(access);
	const shadowDenials = shadows ? { ...shadowTokens, ...first, ...rules("deny", true) } : {};
	const deny = {
		...(Object.keys(denials).length === 0 ? {} : { rules: { action: "DENY", policies: denials } }),
		...(Object.keys(shadowDenials).length === 0 ? {} : shadow(SHADOW_DENY, "DENY", shadowDenials)),
	};
	const prefix = allowPrefix(told);
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

/** null = neither result is told. */
function allowPrefix({ denied, allowed }: Told): string | null {
	if (denied && allowed) return SHADOW_ALLOW;
	return allowed ? SHADOW_ALLOW_ALONE : denied ? SHADOW_DENY_ALONE : null;
}

/**
 * By their names before all others, of which Envoy tries and tells the first that matches: in force, the gate refuses it
 * first. So no shadow rule looks through a long path, which the gate lets through where no enforced one does.
 */
const AMBIGUOUS_LENGTH = "(ambiguous path length)";
const AMBIGUOUS = "(ambiguous path)";

/** Were the shadow policies in force, ambiguous paths would be refused where one of them looks at paths. */
const ambiguity = (access: AccessTable): Readonly<Record<string, object>> =>
	isFirstOnPaths(access) ? { [AMBIGUOUS_LENGTH]: longPaths(), [AMBIGUOUS]: ambiguousPaths() } : {};

/** Were its shadow policies in force, an open Service would be a protected one: all that is refused of those, whoever asks. */
function inForce(access: AccessTable, { identifies }: AccessPlace): Readonly<Record<string, object>> {
	const early = { ...upgradeRule(), ...gateRules(isFirstOnPaths(access), identifies) };
	const named = Object.entries(early).map(([name, rule]) => [IN_FORCE_FIRST + name, rule]);
	return { ...Object.fromEntries(named), [PROBE_RULE]: probeRule() };
}

/** Among the shadow allows: whatever these say then, the shadow denial has said that it would be refused (events/decisions/shadow.ts). */
const notTried = (access: AccessTable): Readonly<Record<string, object>> =>
	isFirstOnPaths(access) ? { [AMBIGUOUS_LENGTH]: longPaths(), [AMBIGUOUS]: strangePaths() } : {};

/** Shadow policies alone look at paths; where an enforced one does, the gate has refused what is ambiguous. */
const isFirstOnPaths = (access: AccessTable): boolean => !judgesPaths(access) && access.policies.some(judgesPath);

const perRoute = (rbac: object): object => ({ "@type": RBAC_PER_ROUTE, rbac });

const shadow = (prefix: string, action: "ALLOW" | "DENY", policies: object): object => ({
	shadow_rules: { action, policies },
	shadow_rules_stat_prefix: prefix,
});

/**
 * Whether the policy can match requests that come by this Gateway and go to that Variant; both are known here. A
 * Gateway that says no region is nowhere: what it does not say, holds for denials only.
 */
function concerns({ action, variants, more }: PolicyTable, variant: string, { gateway }: AccessPlace): boolean {
	if (variants.length > 0 && !variants.includes(variant)) return false;
	const regions = more?.regions ?? [];
	if (regions.length === 0) return true;
	return gateway.region === null ? action === "deny" : regions.includes(gateway.region);
}

/**
 * A certificate that is no X.509-SVID, which has exactly one URI SAN (X509-SVID section 2). Of several, RBAC takes
 * any and the sidecar is told the first, or of none a DNS name: a caller could choose whom to be. The header is
 * Envoy's own word (forward_client_cert_details: SANITIZE_SET), and is there wherever a certificate was shown.
 */
const certificateFits = (regex: string): object => ({
	header: { name: CLIENT_CERTIFICATE, string_match: { safe_regex: { regex } } },
});

const noSingleIdentity = (): object => ({
	permissions: [{ any: true }],
	principals: [{ not_id: certificateFits(ONE_IDENTITY) }],
});

/** By CEL: the header has more than the id. */
const tooLongIdentity = (): object => ({
	permissions: [{ any: true }],
	principals: [certificateFits(`[ -~]*;URI=${NOT_SHORT}`)],
	condition: call(
		"_>_",
		call("size", field(ident("connection"), "uri_san_peer_certificate")),
		integer(SPIFFE_ID_BYTES_MAX),
	),
});
