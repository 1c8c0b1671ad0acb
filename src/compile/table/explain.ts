/** `weir explain`: how each rule is executed, by Envoy natively or else why not. */

import {
	demandsClientCertificates,
	type Gateway,
	qualifiedName,
	type Rate,
	type RateLimits,
	type TokenIssuer,
	unitText,
} from "../../declare/resources/resource.js";
import { PATH_CHARS_MAX } from "../../limits/index.js";
import { REFUSED_METHODS } from "../access/requests/canonical.js";
import { isOpen, judgesPath } from "../access/rules/accessTable.js";
import { isOfAnyIssuer, judgesPaths, judgesUsers, judgesVariants } from "../access/rules/policy.js";
import { type ShadowGap, shadowGapOf, untriedText } from "../access/shadow.js";
import { proxiedGateway } from "../access/verdictReason.js";
import { protoDuration } from "../envoy/duration.js";
import type {
	AccessTable,
	CalloutProtocol,
	ExperimentTable,
	PolicyTable,
	RuleExecution,
	ServiceTable,
} from "../plan/compiledPlan.js";
import { accessCost, CLAIM_UNIT_US, experimentCost } from "./cost.js";
import type { CompiledService } from "./execution.js";
import { hopRule } from "./hopRule.js";

export function explainRules(
	services: readonly CompiledService[],
	protocol: CalloutProtocol,
	gateways: readonly Gateway[],
	nowMs: number | null,
	/** Parts that are not sent to an Envoy, by Service name. */
	leftOut: ReadonlyMap<string, readonly RuleExecution[]>,
): readonly RuleExecution[] {
	const issuers = gateways.flatMap(({ spec }) => spec.tokens);
	const among = amongIssuers(issuers);
	const mostIssuers = Math.max(0, ...gateways.map(({ spec }) => spec.tokens.length));
	const ofServices = services.flatMap((compiled) => [
		summary(compiled, protocol),
		accessRule(compiled, mostIssuers, nowMs),
		...issuerRule(compiled, among),
		...canonicalRule(compiled),
		...limitRule(compiled, gateways),
		...hopRule(compiled),
		...(leftOut.get(compiled.table.name) ?? []),
		...compiled.table.experiments.map((experiment) => experimentRule(compiled, experiment, issuers, among)),
		{
			rule: `Service ${compiled.table.name}: everything else`,
			execution: "native" as const,
			because: `route to Variant ${compiled.table.defaultVariant}`,
			cost: null,
		},
	]);
	return [...gateways.flatMap(clientsRule), ...gateways.flatMap(boundRule), ...ofServices];
}

/** Clients of a Gateway whose CA file may sign for several trust domains, if none is named. */
function clientsRule({ metadata, spec: { tls } }: Gateway): readonly RuleExecution[] {
	if (tls?.from !== "files" || tls.clientCaFile === null || tls.trustDomains !== undefined) return [];
	const because = `SPIFFE ids of ANY trust domain that the CA of ${tls.clientCaFile} signs for, also one with which it shares a root: name them in tls.trustDomains`;
	return [{ rule: `Gateway ${qualifiedName(metadata)}: clients`, execution: "native", because, cost: null }];
}

/** RFC 8705 binds a token to one certificate, and the mesh's certificates live for an hour. */
function boundRule({ metadata, spec: { tls, tokens } }: Gateway): readonly RuleExecution[] {
	const bound = tokens.filter(({ binding }) => binding === "mtls").map(({ issuer }) => issuer);
	if (tls?.from !== "identity" || bound.length === 0) return [];
	const because = `tokens of ${bound.join(", ")} end with the certificate that they are bound to: a client fetches a new one each time that its SVID is renewed (binding: dpop outlives that)`;
	return [{ rule: `Gateway ${qualifiedName(metadata)}: tokens`, execution: "callout", because, cost: null }];
}

/** The execution, and the response without an answer. */
function summary({ table }: CompiledService, protocol: CalloutProtocol): RuleExecution {
	const rule = `Service ${table.name}`;
	const { callout } = table;
	if (callout === null) return { rule, execution: "native", because: "no callout at all", cost: null };
	const form = callout.assignment
		? "full callout"
		: table.experiments.length > 0
			? "native assignment, one callout that gets the arm"
			: "one callout";
	const carries = callout.verdict ? (callout.assignment ? "verdict and arm" : "the verdict") : "the arm alone";
	const without = callout.onFailure === "deny" ? "503" : `Variant ${table.defaultVariant}`;
	return {
		rule,
		execution: "callout",
		because: `${form} by ${protocol}: it carries ${carries}; without an answer ${without}`,
		cost: null,
	};
}

function accessRule({ table, execution }: CompiledService, issuers: number, nowMs: number | null): RuleExecution {
	const { access, name } = table;
	const rule = `Service ${name}: access`;
	const gap = execution.whyVerdict === null ? shadowGapOf(name, execution.dryRun) : null;
	const tried = triedFacts(access, gap);
	if (isOpen(access)) {
		const { rules } = execution.dryRun;
		const isTried = rules.policies.length > 0;
		const facts = isTried
			? [...tried, ["also reported", "what is refused of every protected Service (not canonical, WebSocket)"] as const]
			: tried;
		const open = "OPEN: anyone may call it (access: open)";
		return execution.whyVerdict === null
			? {
					...{ rule, execution: "native", because: open, facts },
					cost: isTried ? { ...accessCost(rules, true, issuers), calloutUs: null } : null,
				}
			: {
					...{ rule, execution: "callout", because: `${execution.whyVerdict}: ${open}`, facts },
					cost: accessCost(execution.dryRun.rules, false, issuers),
				};
	}
	const facts = [...listFacts(access, nowMs), ...tried, elseFact(access)];
	// Envoy's rules run before the sidecar's choice. If it matters for them, they cannot be native.
	const canBeNative =
		!(
			judgesVariants({ ...access, policies: access.policies.filter(({ shadow }) => !shadow) }) &&
			execution.whyAssignment !== null
		) && !execution.beyondEnvoy;
	const cost = accessCost(execution.dryRun.rules, canBeNative, issuers);
	if (execution.whyVerdict !== null) return { rule, execution: "callout", because: execution.whyVerdict, facts, cost };
	const users = judgesUsers(access) ? " and the token that jwt_authn has verified" : "";
	const perArm = judgesVariants(access) ? ", for each Variant its own" : "";
	const because = `RBAC on the client certificate's SPIFFE id${users}${perArm}`;
	return { rule, execution: "native", because, facts, cost };
}

type Facts = NonNullable<RuleExecution["facts"]>;

/** Policies that allow and deny. */
function listFacts(access: AccessTable, nowMs: number | null): Facts {
	const list = (action: string): string =>
		access.policies
			.filter((policy) => !policy.shadow && policy.action === action)
			.map((policy) => `${policy.name}${neverText(policy)}${timeText(policy, nowMs)}`)
			.join(", ");
	const [allows, denies] = [list("allow"), list("deny")];
	return [
		["allowed by", allows === "" ? "no policy" : allows],
		["forbidden by", denies === "" ? "no policy" : `${denies}; a deny wins`],
	];
}

/** The response to all other requests. */
function elseFact(access: AccessTable): Facts[number] {
	const token = judgesUsers(access) ? "; an invalid token 401 invalid-token" : "";
	const path = judgesPaths(access) ? "; escaped punctuation in a path 403 not-canonical" : "";
	return ["else", `403 no-policy-allows${token}${path}`];
}

/** Shadow policies that are tried, and unreported results. */
function triedFacts(access: AccessTable, gap: ShadowGap | null): Facts {
	const names = access.policies.filter(({ shadow }) => shadow).map(({ name }) => name);
	if (names.length === 0) return [];
	const tried = ["tried only", `${names.join(", ")} (shadow)${longPathText(access)}`] as const;
	if (gap === null) return [tried];
	const unreported = [...gap.untried.map(untriedText), ...gap.hidden].join(", ");
	const how = gap.open ? "" : "; set callout.access: sidecar to have it tried";
	return [tried, ["not reported", `${unreported}${how}`]];
}

/** Shadow policies that look at paths would refuse such requests if they were in force. */
const longPathText = (access: AccessTable): string =>
	!judgesPaths(access) && access.policies.some(judgesPath)
		? `; a path of more than ${PATH_CHARS_MAX} characters, or an ambiguous one, is reported as not canonical and not tried`
		: "";

/** Methods that are refused before any rule never match. */
const neverText = ({ methods }: PolicyTable): string =>
	methods.length > 0 && methods.every((method) => REFUSED_METHODS.includes(method))
		? ` (never holds: ${methods.join(" and ")} are always refused)`
		: "";

/** The validity period of a policy. */
function timeText({ more }: PolicyTable, nowMs: number | null): string {
	if (nowMs === null || more === null) return "";
	const { validFromMs, validUntilMs } = more;
	if (validUntilMs !== null && validUntilMs <= nowMs) return ` (ended ${new Date(validUntilMs).toISOString()})`;
	const until = validUntilMs === null ? "" : `until ${new Date(validUntilMs).toISOString()}`;
	if (validFromMs === null || validFromMs <= nowMs) return until === "" ? "" : ` (${until})`;
	return ` (begins ${new Date(validFromMs).toISOString()}${until === "" ? "" : `, ${until}`})`;
}

/** The issuers, if there are several: each Service is behind all Gateways. */
function amongIssuers(tokens: readonly TokenIssuer[]): string | null {
	const issuers = new Set(tokens.map(({ issuer }) => issuer));
	return issuers.size < 2 ? null : [...issuers].join(", ");
}

/** A sub is unique only within its issuer, and each issuer defines its own groups. */
function issuerRule({ table, execution }: CompiledService, among: string | null): readonly RuleExecution[] {
	const policies = among === null ? [] : table.access.policies.filter(isOfAnyIssuer);
	if (policies.length === 0) return [];
	const names = policies.map(({ name }) => name).join(", ");
	return [
		{
			rule: `Service ${table.name}: issuers`,
			execution: execution.whyVerdict === null ? "native" : "callout",
			because: `users of any of ${among} are judged alike by ${names}; name users: ["ISSUER#*"] there for one issuer's alone`,
			cost: null,
		},
	];
}

/** Requests that are refused before any rule (canonical.ts). */
function canonicalRule({ table }: CompiledService): readonly RuleExecution[] {
	if (isOpen(table.access)) return [];
	const paths = judgesPaths(table.access)
		? `, and so is one whose path servers could read in different ways, or has more than ${PATH_CHARS_MAX} characters`
		: "";
	const because = `a request that is not in one canonical form is refused before any policy (not-canonical)${paths}; so is a certificate that names more or fewer than one identity`;
	return [{ rule: `Service ${table.name}: canonical form`, execution: "native", because, cost: null }];
}

function limitRule(
	{ service, table, execution }: CompiledService,
	gateways: readonly Gateway[],
): readonly RuleExecution[] {
	const { service: whole, principal, tenant } = service.spec.rateLimits;
	const rate = (counted: string, limit: Rate | null): readonly string[] =>
		limit === null ? [] : [`${counted} ${limit.requests} per ${protoDuration(limit.perMs)}`];
	const limits = [...rate("all together", whole), ...rate("each principal", principal), ...rate("each tenant", tenant)];
	const rule = `Service ${table.name}: rate limits`;
	const open = gateways.filter((gateway) => !demandsClientCertificates(gateway));
	const facts =
		table.callout === null
			? []
			: unboundedFacts(service.spec.rateLimits, open.length > 0 || proxiedGateway(gateways) !== null);
	if (limits.length === 0)
		return facts.length === 0 ? [] : [{ rule, execution: "native", because: "none", facts, cost: null }];
	const shared = tenant === null ? "" : "; requests without exactly one tenant share one bucket";
	const held =
		tenant !== null && execution.whyVerdict !== null
			? "; NOT APPLIED to tenants: Envoy verifies no token here"
			: shared;
	const because = `each Gateway of each Envoy by itself, 429 beyond: ${limits.join(", ")}${held}`;
	return [{ rule, execution: "native", because, facts, cost: null }];
}

/** @param indistinct a Gateway cannot distinguish principals, so only a limit for all of them is possible */
function unboundedFacts({ service, principal }: RateLimits, indistinct: boolean): Facts {
	if (principal !== null || (indistinct && service !== null)) return [];
	const remedy = indistinct ? "service" : "principal";
	return [
		[
			"not bounded",
			`what one caller, allowed or not, may ask the sidecar: beyond what that can answer all Services that need it get 503; set rateLimits.${remedy}`,
		],
	];
}

function experimentRule(
	{ table, execution }: CompiledService,
	experiment: ExperimentTable,
	issuers: readonly TokenIssuer[],
	among: string | null,
): RuleExecution {
	const percent = (points: number) => `${points / 10_000}%`;
	const slot =
		experiment.slotLoPpm === 0 && experiment.slotHiPpm === 1_000_000
			? "the whole layer"
			: `layer slot ${percent(experiment.slotLoPpm)}–${percent(experiment.slotHiPpm)}`;
	const rule = `Experiment ${experiment.name}: one valid ${unitText(experiment.unit)} in ${slot}`;
	const shares = sharesOf(table, experiment);
	const cost = experimentCost(experiment.unit.from !== "cookie" && execution.eligibility === null);
	const hash = `XXH64("${experiment.salt}:" + unit)`;
	const { unit } = experiment;
	const untried = unit.from === "claim" && !judgesUsers(table.access) ? unjudgedClaims(issuers) : "";
	const mixed =
		unit.from === "claim" && among !== null
			? `; units are of any of ${among}: the same ${unit.claim} of two of them is one unit`
			: "";
	const claims = `${untried}${mixed}`;
	return execution.whyAssignment === null
		? { rule, execution: "native", because: `weighted clusters by ${hash}: ${shares}${claims}`, cost }
		: { rule, execution: "callout", because: `${execution.whyAssignment}: by ${hash} ${shares}${claims}`, cost };
}

/** How tokens are handled if no policy judges users. */
function unjudgedClaims(issuers: readonly TokenIssuer[]): string {
	const bound = [...new Set(issuers.flatMap(({ issuer, binding }) => (binding === "none" ? [] : [issuer])))];
	const proofs =
		bound.length === 0 ? "" : `, nor does one of ${bound.join(", ")}, whose proof of possession is not checked`;
	return `; an invalid token gives no unit${proofs} (a claim costs some ${CLAIM_UNIT_US} µs of Envoy's CPU more than a header)`;
}

function sharesOf({ defaultVariant }: ServiceTable, experiment: ExperimentTable): string {
	const percent = (points: number) => `${points / 10_000}%`;
	const arms = experiment.arms.map((arm) => `${arm.name} → ${arm.variant} ${percent(arm.livePoints)}`).join(", ");
	const live = experiment.arms.reduce((sum, arm) => sum + arm.livePoints, 0);
	const takeover =
		experiment.takeover === null
			? ""
			: `; ${experiment.takeover.arm} is taking over ${percent(experiment.takeover.ppm)} of every other share`;
	const { core } = experiment;
	const bandit =
		core === undefined
			? ""
			: `; a bandit sets how much of each challenger's region is live, never less than its first ${percent(core.ppm)}${core.alone ? ", whose units alone are compared since it has moved" : ""}`;
	return `${arms}, rest → ${defaultVariant} ${percent(1_000_000 - live)}${takeover}${bandit}`;
}
