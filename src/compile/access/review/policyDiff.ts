/**
 * Requests whose verdict differs between two resource sets: constructed ones at the boundaries of all rules, and logged
 * ones. They are examples: no difference found is no proof.
 */

import { hostOwners } from "../../../declare/resources/hostOwner.js";
import { type Gateway, qualifiedName, type ResourceSet } from "../../../declare/resources/resource.js";
import { matchesPrincipal } from "../requests/principal.js";
import { isWholePath } from "../requests/shownPath.js";
import { accessTable } from "../rules/policy.js";
import { boundariesOf, combinations, sizeOf } from "./boundaries.js";
import { type JudgedRequest, type PolicyJudge, policyJudge, trustDomainsOf } from "./policyCheck.js";
import type { PolicyRequest } from "./policyRequest.js";

/** Requests that `weir policy diff` constructs for one Service; beyond it they are a sample of all combinations. */
const POLICY_DIFF_REQUESTS_MAX = 50_000;

/** Differences that `weir policy diff` shows; all are counted. */
const POLICY_DIFF_KEPT_MAX = 1_000;

export interface PolicyDifference {
	readonly request: PolicyRequest;
	readonly from: "constructed" | "log";
	readonly before: ComparedVerdict;
	readonly after: ComparedVerdict;
}

/** not-connected: no Gateway accepts the client's connection. */
export type ComparedVerdict = Pick<JudgedRequest, "allowed" | "policy"> & {
	readonly reason: JudgedRequest["reason"] | "not-connected";
};

export interface PolicyDiff {
	/** At most POLICY_DIFF_KEPT_MAX; logged ones first. */
	readonly differences: readonly PolicyDifference[];
	/** All that were found. */
	readonly newlyAllowed: number;
	readonly newlyDenied: number;
	readonly compared: number;
	/** Services and hosts for which only a sample of the combinations was tried. */
	readonly cut: readonly string[];
	/** Policies with a condition in CEL, whose boundaries are not known. */
	readonly conditions: readonly string[];
	/** Logged requests left out: the Service's rules read tokens, which the log does not hold. */
	readonly withoutToken: number;
	/** Logged requests left out: their path is masked or cut in the log. */
	readonly withoutPath: number;
}

const NOT_CONNECTED: ComparedVerdict = { allowed: false, reason: "not-connected", policy: null };

/**
 * @param nowMs time of constructed requests, where no rule has a boundary in time; logged requests keep their own
 */
export function diffPolicies(
	before: ResourceSet,
	after: ResourceSet,
	logged: readonly PolicyRequest[],
	nowMs: number,
	requestsMax: number = POLICY_DIFF_REQUESTS_MAX,
): PolicyDiff {
	const judges = [policyJudge(before), policyJudge(after)] as const;
	const differences: PolicyDifference[] = [];
	const totals = { newlyAllowed: 0, newlyDenied: 0, compared: 0, withoutToken: 0, withoutPath: 0 };
	const compare = (request: PolicyRequest, from: PolicyDifference["from"]): void => {
		totals.compared++;
		const [was, is] = judges.map((judge) => verdictOf(judge, request, from)) as [ComparedVerdict, ComparedVerdict];
		if (was.allowed === is.allowed) return;
		totals[is.allowed ? "newlyAllowed" : "newlyDenied"]++;
		if (differences.length < POLICY_DIFF_KEPT_MAX) differences.push({ request, from, before: was, after: is });
	};
	for (const request of logged) {
		const needsToken = request.token === null && judges.some((judge) => judge.readsTokens(request.service ?? ""));
		if (!isWholePath(request.path)) totals.withoutPath++;
		else if (needsToken) totals.withoutToken++;
		else compare(request, "log");
	}
	const cut: string[] = [];
	for (const asked of targetsOf(before, after)) {
		const { dimensions, isCut } = dimensionsOf(asked, [before, after], judges, nowMs);
		const base = { ...BASE, service: asked.service, host: asked.host };
		for (const parts of combinations(dimensions, requestsMax))
			compare(Object.assign({}, base, ...parts), "constructed");
		if (isCut || sizeOf(dimensions) > requestsMax) cut.push(asked.service ?? `host ${asked.host}`);
	}
	const conditions = [before, after].flatMap(({ accessPolicies }) =>
		accessPolicies.filter(({ spec }) => spec.condition !== null).map(({ metadata }) => qualifiedName(metadata)),
	);
	return { differences, ...totals, cut, conditions: [...new Set(conditions)] };
}

/** Only a constructed request can be one that no Gateway accepts: a logged request reached a Gateway. */
function verdictOf(judge: PolicyJudge, request: PolicyRequest, from: PolicyDifference["from"]): ComparedVerdict {
	return from === "constructed" && judge.gatewaysOf(request).length === 0 ? NOT_CONNECTED : judge.judge(request);
}

/** What to compare: a Service by its name, or a host that moves to another Service; with the names of all affected Services. */
interface Target {
	readonly service: string | null;
	readonly host: string | null;
	readonly owners: readonly string[];
}

function targetsOf(before: ResourceSet, after: ResourceSet): readonly Target[] {
	const services = [...before.services, ...after.services];
	const names = new Set(services.map(({ metadata }) => qualifiedName(metadata)));
	const ownersOf = [hostOwners(before.services), hostOwners(after.services)];
	// Rules do not read the host, so one moved host for each pair of Services is enough.
	const moved = new Map<string, Target>();
	for (const host of services.flatMap(({ spec }) => spec.hosts)) {
		const owners = ownersOf.flatMap((ownerOf) => ownerOf(host) ?? []).map(({ metadata }) => qualifiedName(metadata));
		if (owners.length < 2 || owners[0] === owners[1]) continue;
		moved.set(owners.join(" "), { service: null, host: host.replace("*", "weir-other"), owners });
	}
	return [...[...names].map((name) => ({ service: name, host: null, owners: [name] })), ...moved.values()];
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

type Part = Partial<PolicyRequest>;

function dimensionsOf(
	{ owners }: Target,
	sets: readonly ResourceSet[],
	judges: readonly PolicyJudge[],
	nowMs: number,
): { readonly dimensions: readonly (readonly Part[])[]; readonly isCut: boolean } {
	const declared = sets.flatMap((set) =>
		set.services
			.filter(({ metadata }) => owners.includes(qualifiedName(metadata)))
			.map((service) => ({ service, set })),
	);
	const policies = declared.flatMap(({ service, set }) =>
		accessTable(service, set.accessPolicies, set.referenceGrants).policies.filter(({ shadow }) => !shadow),
	);
	const gateways = sets.flatMap((set) => set.gateways);
	const issuers = new Map(gateways.flatMap(({ spec }) => spec.tokens).map((one) => [one.issuer, one]));
	const domains = [...new Set(gateways.flatMap((gateway) => trustDomainsOf(gateway) ?? []))];
	const bounds = boundariesOf(policies, domains, [...issuers.values()], nowMs);
	// A trusted proxy changes a verdict only if a deny policy names it.
	const isDenied = (proxy: string): boolean =>
		policies.some((one) => one.action === "deny" && one.principals.some((pattern) => matchesPrincipal(proxy, pattern)));
	const proxies = new Set(gateways.flatMap(({ spec }) => spec.trustedProxies).filter(isDenied));
	const callers = placesOf(sets, bounds.regions)
		.flatMap((place) => bounds.principals.map((principal) => ({ ...BASE, ...place, principal })))
		.flatMap((caller) => [null, ...proxies].map((via) => ({ ...caller, via })))
		.filter((caller) => judges.some((judge) => judge.gatewaysOf(caller).length > 0))
		.map(({ gateway, region, principal, via }) => ({ gateway, region, principal, via }));
	const variants = declared.flatMap(({ service }) => service.spec.variants.map(({ name }) => name));
	return {
		dimensions: [
			callers,
			bounds.tokens.map((token) => ({ token })),
			bounds.methods.map((method) => ({ method })),
			bounds.paths.map((path) => ({ path })),
			[null, ...(bounds.variants.length === 0 ? [] : new Set(variants))].map((variant) => ({ variant })),
			bounds.timesMs.map((nowMs) => ({ nowMs })),
		],
		isCut: bounds.isCut,
	};
}

/**
 * The Gateways in both sets. If they share none, one place without a Gateway; if the new set has no Gateway at all, also one
 * for each region that a rule names.
 */
function placesOf([before, after]: readonly ResourceSet[], regions: readonly string[]): readonly Part[] {
	const namesOf = (gateways: readonly Gateway[] = []) => gateways.map(({ metadata }) => qualifiedName(metadata));
	const names = namesOf(after?.gateways);
	const both = namesOf(before?.gateways).filter((name) => names.includes(name));
	if (both.length > 0) return both.map((gateway) => ({ gateway }));
	return names.length > 0 ? [{}] : [{}, ...regions.map((region) => ({ region }))];
}
