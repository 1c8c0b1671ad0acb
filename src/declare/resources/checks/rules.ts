/**
 * Limits the rules that one request to a Service can be matched against, because other requests wait. Envoy compares all
 * values; the sidecar finds most rules by caller and path.
 */
import { ANYONE } from "../../../compile/access/requests/principal.js";
import { accessTable } from "../../../compile/access/rules/accessTable.js";
import { comparedValues } from "../../../compile/access/rules/comparedValues.js";
import { dryRunOf } from "../../../compile/access/shadow.js";
import { proxiedGateway } from "../../../compile/access/verdictReason.js";
import { resourceTitle } from "../position.js";
import type { AccessPolicy, ResourceSet, Service } from "../resource.js";
import { sidecarDecides, sidecarDecidesAlways } from "./callout.js";
import type { Check } from "./report.js";

/**
 * Rules, path segments and texts (two count one) that the sidecar may read for one request: 50 to 150 ns each, so 1 to 3
 * ms. A token is split once per request into sets: 45 µs for 600 scopes and 400 groups (6 KB, measured on 2026-11-28, 2
 * cores).
 */
export const RULE_STEPS_MAX = 20_000;

/**
 * Values in a Service's rules that Envoy may compare for one request (100 ns each; a path counts up to ten times): about
 * 2 ms of its thread. LISTED_VALUES_MAX limits comparisons with a token's list.
 */
export const RULE_VALUES_MAX = 20_000;

/** Different texts in a token of TOKEN_BYTES_MAX: 6 KB of JSON, scopes of two characters and a space. */
const TOKEN_TEXTS_MAX = 2_048;

/**
 * Reported at a policy of the change, if there is one. Denials may be twice as many, because they are urgent.
 * @param selected the policies that select the Service, in declared order
 */
export function ruleProblems(check: Check, service: Service, selected: readonly AccessPolicy[]): void {
	const { set } = check;
	if (isSmall(set, selected)) return;
	const given = selected.filter((one) => !check.isStored(one));
	const urgent = given.length > 0 && given.every(({ spec }) => spec.action === "deny");
	const tried = triedBy(set, service, selected).find((one) => one.count > mostOf(one) * (urgent ? 2 : 1));
	if (tried === undefined) return;
	const message = `${causeOf(tried)} ${resourceTitle(service)}${whenOf(tried)}`;
	const last = given.at(-1);
	// A changed Service or grant may select stored policies.
	if (last === undefined) check.report(service, ["spec"], message, hintOf(tried));
	else check.report(last, ["spec"], `with it ${message}`, hintOf(tried));
}

/** A fast path for nearly all Services: far below every limit. */
function isSmall({ gateways }: ResourceSet, policies: readonly AccessPolicy[]): boolean {
	const issuers = Math.max(1, ...gateways.map(({ spec }) => spec.tokens.length));
	const named = policies.reduce((sum, { spec }) => sum + stepsNamed(spec) + spec.principals.length, 0);
	// The largest cost is a path that is read twice: a prefix of 1,024 characters is five sidecar steps.
	return named * issuers * 2 * PATH_VALUES < Math.min(RULE_VALUES_MAX, RULE_STEPS_MAX);
}

const causeOf = ({ bySidecar, count }: Tried): string =>
	bySidecar
		? `the sidecar can try ${count} rules, values and segments of paths, more than ${RULE_STEPS_MAX}, for one request to`
		: `Envoy tries up to ${count} values of rules (a path counts ${PATH_VALUES}), more than ${RULE_VALUES_MAX}, for each request to`;

const hintOf = ({ bySidecar }: Tried): string =>
	bySidecar
		? "name exact principals, groups or claims instead of many users and paths, or divide the Service"
		: "name groups or claims instead of many callers and paths, or declare callout: {access: sidecar} in the Service";

const whenOf = ({ later }: Tried): string =>
	later ? " once none of its Experiments has the sidecar decide access any more" : "";

const mostOf = ({ bySidecar }: Tried): number => (bySidecar ? RULE_STEPS_MAX : RULE_VALUES_MAX);

/** The cost of a path prefix or template in Envoy: each scans up to PATH_CHARS_MAX. */
const PATH_VALUES = 10;

interface Tried {
	readonly bySidecar: boolean;
	/** Envoy's limit also applies if an Experiment makes the sidecar decide: the Experiment may end without an apply. */
	readonly later: boolean;
	readonly count: number;
}

/** Whether Envoy or the sidecar matches its rules, now or after its Experiments change without an apply. */
function triedBy(set: ResourceSet, service: Service, policies: readonly AccessPolicy[]): readonly Tried[] {
	if (sidecarDecidesAlways({ set }, service)) return [triedBySidecar(policies)];
	if (sidecarDecides({ set }, service) === null) return [triedByEnvoy(set, service, false)];
	return [triedBySidecar(policies), triedByEnvoy(set, service, true)];
}

function triedBySidecar(policies: readonly AccessPolicy[]): Tried {
	// Shadow policies evaluate the enforced ones once more, for comparison.
	const times = policies.some(({ spec }) => spec.mode === "shadow") ? 2 : 1;
	return { bySidecar: true, later: false, count: times * stepsOf(policies) };
}

function triedByEnvoy(set: ResourceSet, service: Service, later: boolean): Tried {
	const issuers = Math.max(1, ...set.gateways.map(({ spec }) => spec.tokens.length));
	const { rules } = dryRunOf(accessTable(service, set.accessPolicies, set.referenceGrants), {
		issuers: set.gateways.flatMap(({ spec }) => spec.tokens),
		proxied: proxiedGateway(set.gateways),
		// Rules that the Experiment excludes apply once it ends.
		sidecarAssigns: false,
	});
	const { values, paths } = comparedValues(rules, issuers);
	return { bySidecar: false, later, count: values + (PATH_VALUES - 1) * paths };
}

/** An upper limit of names, path segments and rules. */
function stepsNamed({
	methods,
	pathPrefixes,
	pathTemplates,
	users,
	groups,
	tenants,
	purposes,
	claims,
}: AccessPolicy["spec"]) {
	const lists = [methods, pathPrefixes, users, groups, tenants, purposes, ...claims.map(({ values }) => values)];
	return lists.reduce((sum, { length }) => sum + length, 1 + claims.length + segmentsIn(pathTemplates));
}

/** An upper limit of the branches in a tree of templates. */
const segmentsIn = (templates: readonly string[]): number =>
	templates.reduce((sum, template) => sum + template.split("/").length - 1, 0);

/** Comparisons to find a path's prefix among any number (access/rules/pathPatterns.ts), each at the cost of its length. */
const PREFIXES_COMPARED = 18;
const PREFIX_CHARS_A_STEP = 256;

/** Texts of the smaller set are looked up in the other: a rule's or a token's (access/users/tokenTexts.ts). */
const TEXTS_A_STEP = 2;

function stepsIn(spec: AccessPolicy["spec"]): number {
	const { principals, pathPrefixes, pathTemplates, users, groups, tenants, purposes, claims } = spec;
	const longest = pathPrefixes.reduce((most, { length }) => Math.max(most, length), 0);
	const prefixes = Math.min(pathPrefixes.length, PREFIXES_COMPARED) * (1 + Math.floor(longest / PREFIX_CHARS_A_STEP));
	const texts = [groups, tenants, purposes, ...claims.map(({ values }) => values)];
	const ofTexts = texts.map(({ length }) => Math.floor(Math.min(length, TOKEN_TEXTS_MAX) / TEXTS_A_STEP));
	const paths = prefixes + segmentsIn(pathTemplates);
	return ofTexts.reduce((sum, one) => sum + one, 1 + patternsIn(principals) + paths + users.length + claims.length);
}

const patternsIn = (principals: readonly string[]): number => principals.filter((id) => id.endsWith("/*")).length;

/** A caller is one principal, so it meets no rules for other principals (access/rules/ruleTree.ts). */
function stepsOf(policies: readonly AccessPolicy[]): number {
	let common = 0;
	let most = 0;
	const named = new Map<string, number>();
	for (const { spec } of policies) {
		const { principals } = spec;
		const steps = stepsIn(spec);
		const exact =
			principals.length > 0 &&
			patternsIn(principals) === 0 &&
			!principals.includes("*") &&
			!principals.includes(ANYONE);
		if (!exact) common += steps;
		else {
			for (const id of new Set(principals)) {
				const sum = (named.get(id) ?? 0) + steps;
				named.set(id, sum);
				most = Math.max(most, sum);
			}
		}
	}
	return common + most;
}
