/**
 * Two declarations held against each other: requests whose verdict differs. Constructed ones lie at the boundaries of all
 * rules of both, by a host that goes to another Service of those of the two Services; logged ones were asked. A difference
 * that is found is one; that none is found proves nothing, least of all where the product of boundaries was cut or
 * conditions in CEL take part. What may let in more, or less, is therefore also told from the rules themselves (policyLoosened.ts).
 */
import type { PolicyTable } from "../../compiler/plan.js";
import { POLICY_DIFF_KEPT_MAX, POLICY_DIFF_REQUESTS_MAX } from "../../limits.js";
import { type Gateway, qualifiedName, type ResourceSet, type Service } from "../../resources/resource.js";
import { matchesPrincipal } from "../requests/principal.js";
import { isWholePath } from "../requests/shownPath.js";
import { accessTable } from "../rules/policy.js";
import { unbounded } from "./comparisons.js";
import { askedHost, movedHosts } from "./movedHosts.js";
import { type Bounds, boundsOf, choices, NEVER_ALLOWED } from "./policyBounds.js";
import { type JudgedRequest, type PolicyRequest, policyJudge, trustDomainsOf } from "./policyCheck.js";
import { loosened, tightened } from "./policyLoosened.js";
import { changedSettings } from "./policySettings.js";
import { rememberedTurns, type Turns } from "./policyTimes.js";

export interface PolicyDifference {
	readonly request: PolicyRequest;
	/** logged: somebody has asked it. */
	readonly from: "constructed" | "log";
	readonly before: JudgedRequest;
	readonly after: JudgedRequest;
}

export interface PolicyDiff {
	/** At most POLICY_DIFF_KEPT_MAX; logged ones first. */
	readonly differences: readonly PolicyDifference[];
	/** All that were found. */
	readonly newlyAllowed: number;
	readonly newlyDenied: number;
	readonly compared: number;
	/** Services, and hosts that go to another one (`host a.example`), of which not every combination of boundaries was tried. */
	readonly cut: readonly string[];
	/** Policies with a condition in CEL, whose boundaries are not known. */
	readonly conditions: readonly string[];
	/** Logged requests that were not compared, or not by each host: their Service reads tokens, which no log holds. */
	readonly withoutToken: number;
	/** Logged requests that were not compared: their path is masked or cut in the log. */
	readonly withoutPath: number;
	/** What decides verdicts beside the rules, in words: whose tokens hold, who is asked for, whether anyone may. */
	readonly changed: readonly string[];
	/** Rules that may let in more than before, whether or not a request was found that shows it. */
	readonly loosened: readonly string[];
	/** Likewise those that may let in less. */
	readonly tightened: readonly string[];
}

/** @param nowMs for rules that depend on the time, where neither rule nor log names one */
export function diffPolicies(
	before: ResourceSet,
	after: ResourceSet,
	logged: readonly PolicyRequest[],
	nowMs: number,
	requestsMax: number = POLICY_DIFF_REQUESTS_MAX,
): PolicyDiff {
	const judges = { before: policyJudge(before), after: policyJudge(after) };
	const differences: PolicyDifference[] = [];
	const totals = { newlyAllowed: 0, newlyDenied: 0, compared: 0, withoutToken: 0, withoutPath: 0 };
	const compare = (request: PolicyRequest, from: PolicyDifference["from"]): void => {
		totals.compared++;
		const was = judges.before.judge(request);
		const is = judges.after.judge(request);
		if (was.allowed === is.allowed) return;
		// Whom no Gateway lets in to be judged no rule lets in; what was asked has come in.
		if (from === "constructed" && !(is.allowed ? judges.after : judges.before).admits(request)) return;
		if (is.allowed) totals.newlyAllowed++;
		else totals.newlyDenied++;
		if (differences.length < POLICY_DIFF_KEPT_MAX) differences.push({ request, from, before: was, after: is });
	};
	const moved = movedHosts(before, after).map((one) => ({ ...one, host: askedHost(one) }));
	// The log holds no host: what came to a Service may have come by each that it had. Its Variant is none of the other Service's.
	const atHosts = (request: PolicyRequest): readonly PolicyRequest[] =>
		moved.flatMap(({ from, host }) =>
			qualifiedName(from.metadata) === request.service ? [{ ...request, service: null, host, variant: null }] : [],
		);
	const readsToken = (request: PolicyRequest): boolean =>
		request.token === null &&
		[judges.before, judges.after].some((judge) => {
			const service = judge.serviceOf(request);
			return service !== null && judge.judgesUsers(service);
		});
	for (const request of logged) {
		if (!isWholePath(request.path)) {
			totals.withoutPath++;
			continue;
		}
		const asked = [request, ...atHosts(request)];
		if (asked.some(readsToken)) totals.withoutToken++;
		for (const one of asked) if (!readsToken(one)) compare(one, "log");
	}
	const cut: string[] = [];
	const sets = [before, after];
	const names = new Set(sets.flatMap(({ services }) => services.map(({ metadata }) => qualifiedName(metadata))));
	const turnsOf = rememberedTurns();
	const comesIn = (caller: Caller): boolean =>
		[judges.before, judges.after].some((judge) =>
			judge.gatewaysOf({ ...BASE, ...caller }).includes(caller.gateway ?? null),
		);
	const compareAll = (asked: Asked, name: string): void => {
		const { requests, isCut } = constructed(asked, sets, comesIn, nowMs, turnsOf, requestsMax);
		for (const request of requests) compare(request, "constructed");
		if (isCut) cut.push(name);
	};
	for (const name of names) compareAll(askedByName(name, sets), name);
	for (const { from, to, host } of moved) {
		const owners = [[from, before] as const, [to, after] as const];
		// Variants of two Services have nothing in common, but that each has a default one.
		compareAll({ at: { host }, owners, variants: () => [null] }, `host ${host}`);
	}
	const conditions = sets.flatMap(({ accessPolicies }) =>
		accessPolicies.flatMap(({ metadata, spec }) => (spec.condition === null ? [] : [qualifiedName(metadata)])),
	);
	const changed = changedSettings(before, after);
	return {
		differences,
		...totals,
		cut,
		conditions: [...new Set(conditions)],
		changed,
		loosened: loosened(before, after, unbounded()),
		tightened: tightened(before, after, unbounded()),
	};
}

/** By what requests are asked, and whose rules judge them. */
interface Asked {
	readonly at: Partial<Pick<PolicyRequest, "service" | "host">>;
	readonly owners: readonly (readonly [Service, ResourceSet])[];
	/** @param named by their rules */
	readonly variants: (named: readonly string[]) => readonly (string | null)[];
}

function askedByName(name: string, sets: readonly ResourceSet[]): Asked {
	const owners = sets.flatMap((set) => {
		const service = set.services.find(({ metadata }) => qualifiedName(metadata) === name);
		return service === undefined ? [] : [[service, set] as const];
	});
	const services = owners.map(([service]) => service);
	return { at: { service: name }, owners, variants: (named) => variantsOf(services, named) };
}

function constructed(
	{ at, owners, variants }: Asked,
	sets: readonly ResourceSet[],
	comesIn: (caller: Caller) => boolean,
	nowMs: number,
	turnsOf: Turns,
	max: number,
): { readonly requests: Iterable<PolicyRequest>; readonly isCut: boolean } {
	const tables = owners.map(([service, set]) => accessTable(service, set.accessPolicies, set.referenceGrants));
	const policies: readonly PolicyTable[] = tables.flatMap((one) => one.policies.filter(({ shadow }) => !shadow));
	const gateways = sets.flatMap((set) => set.gateways);
	const issuers = new Map(
		gateways.flatMap(({ spec }) => spec.tokens).map((issuer) => [JSON.stringify(issuer), issuer] as const),
	);
	const domains = [...new Set(gateways.flatMap((gateway) => trustDomainsOf(gateway) ?? []))];
	const bounds = boundsOf(policies, domains, [...issuers.values()], nowMs, turnsOf);
	const callers = callersOf(sets, policies, bounds).filter(comesIn);
	const dimensions: readonly (readonly Partial<PolicyRequest>[])[] = [
		callers,
		bounds.tokens.map((token) => ({ token })),
		bounds.methods.map((method) => ({ method })),
		bounds.paths.map((path) => ({ path })),
		variants(bounds.variants).map((variant) => ({ variant })),
		bounds.timesMs.map((nowMs) => ({ nowMs })),
	];
	const size = dimensions.reduce((product, values) => product * values.length, 1);
	const requests = function* (): Generator<PolicyRequest> {
		const base: PolicyRequest = { ...BASE, ...at, nowMs: bounds.timesMs[0] ?? nowMs };
		for (const choice of choices(dimensions, max)) yield Object.assign({}, base, ...choice);
		const direct = callers.filter(({ via }) => via === undefined);
		const once = new Map(direct.toReversed().map((caller) => [caller.principal, caller]));
		for (const caller of once.values()) for (const never of NEVER_ALLOWED) yield { ...base, ...caller, ...never };
	};
	return { requests: requests(), isCut: bounds.cut || size > max };
}

const BASE: PolicyRequest = {
	service: null,
	host: null,
	gateway: null,
	region: null,
	principal: null,
	token: null,
	method: "GET",
	path: "/",
	variant: null,
	nowMs: 0,
};

/** Where verdicts depend on the place: each Gateway of both; a region without a Gateway only where none is declared. */
function placesOf(gateways: readonly Gateway[], regions: readonly string[]): readonly Partial<PolicyRequest>[] {
	if (gateways.length === 0) return [{ region: null }, ...regions.map((region) => ({ region }))];
	return [...new Set(gateways.map(({ metadata }) => qualifiedName(metadata)))].map((gateway) => ({ gateway }));
}

type Caller = Partial<PolicyRequest> & Pick<PolicyRequest, "principal">;

/** Whoever could come there, and through its trusted proxies, where a denial may be about one of them. */
function callersOf(
	sets: readonly ResourceSet[],
	policies: readonly PolicyTable[],
	{ principals, regions }: Pick<Bounds, "principals" | "regions">,
): readonly Caller[] {
	const gateways = sets.flatMap((set) => set.gateways);
	return placesOf(gateways, regions).flatMap((place) => {
		const direct = principals.map((principal) => ({ ...place, principal }));
		const proxies = gateways
			.filter(({ metadata }) => qualifiedName(metadata) === place.gateway)
			.flatMap(({ spec }) => spec.trustedProxies);
		const brought = [...new Set(proxies)]
			.filter((proxy) => policies.some((policy) => mayDeny(policy, proxy)))
			.flatMap((via) => principals.flatMap((principal) => (principal === null ? [] : [{ ...place, principal, via }])));
		return [...direct, ...brought];
	});
}

/** A denial that names nobody meets the client as well, whoever brings it. */
const mayDeny = ({ action, principals, more }: PolicyTable, proxy: string): boolean =>
	action === "deny" &&
	(principals.some((pattern) => matchesPrincipal(proxy, pattern)) ||
		(principals.length === 0 && (more?.condition ?? null) !== null));

/** Where rules look at Variants: each that the Service has; else the default one. */
function variantsOf(services: readonly Service[], named: readonly string[]): readonly (string | null)[] {
	if (named.length === 0) return [null];
	return [null, ...new Set(services.flatMap(({ spec }) => spec.variants.map((variant) => variant.name)))];
}
