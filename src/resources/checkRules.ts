/**
 * How much of its rules one request to a Service can be tried against: by Envoy, which walks all that they name, or by the
 * sidecar, which finds most by who asks and for what. Requests to other Services wait behind it.
 */
import { ANYONE } from "../access/principal.js";
import { policiesOf } from "../access/selection.js";
import { RULE_STEPS_MAX, RULE_VALUES_MAX } from "../limits.js";
import { findNamed } from "./lookup.js";
import { once } from "./once.js";
import { resourceTitle } from "./position.js";
import type { Check } from "./report.js";
import type { AccessPolicy, Gateway, ResourceSet, Service } from "./resource.js";

/**
 * Told of a policy of the change, where there is one, and only where a request can cost more than before it: what stands since
 * before the bound, or comes to be beyond it by another issuer, holds up nobody.
 * @param selected the policies that select the Service, in declared order
 */
export function ruleProblems(check: Check, service: Service, selected: readonly AccessPolicy[]): void {
	const { tried, most } = triedBy(service, selected, check.set.gateways);
	if (tried <= most || tried <= triedBefore(check, service)) return;
	const given = selected.findLast((one) => !check.isStored(one));
	const title = resourceTitle(service);
	if (given === undefined) {
		// A change of the Service, or a grant, makes stored policies its own.
		check.report(service, ["spec"], `${wordsOf(service, tried, most)} ${title}`, hintOf(service));
		return;
	}
	check.report(given, ["spec"], `with it ${wordsOf(service, tried, most)} ${title}`, hintOf(service));
}

const wordsOf = (service: Service, tried: number, most: number): string =>
	bySidecar(service)
		? `the sidecar can try ${tried} rules and patterns, more than ${most}, for one request to`
		: `Envoy tries up to ${tried} values of rules, more than ${most}, for each request to`;

const hintOf = (service: Service): string =>
	bySidecar(service)
		? "name exact principals, groups or claims instead of many users and paths, or divide the Service"
		: "name groups or claims instead of many callers and paths, or declare callout: {access: sidecar} in the Service";

const bySidecar = ({ spec }: Service): boolean => spec.callout.access === "sidecar";

interface Tried {
	readonly tried: number;
	readonly most: number;
}

function triedBy(service: Service, policies: readonly AccessPolicy[], gateways: readonly Gateway[]): Tried {
	// With shadow policies the enforced ones are asked once more, to tell what would change.
	const times = policies.some(({ spec }) => spec.mode === "shadow") ? 2 : 1;
	if (bySidecar(service)) return { tried: times * stepsOf(policies), most: RULE_STEPS_MAX };
	const issuers = Math.max(1, ...gateways.map(({ spec }) => spec.tokens.length));
	const values = policies.reduce((sum, { spec }) => sum + valuesOf(spec, issuers), 0);
	return { tried: times * values, most: RULE_VALUES_MAX };
}

function triedBefore({ before, set: { gateways } }: Check, service: Service): number {
	const former = before === null ? undefined : findNamed(before.services, service.metadata);
	if (before === null || former === undefined || bySidecar(former) !== bySidecar(service)) return 0;
	const policies = policiesOf(former, before.accessPolicies, before.referenceGrants);
	return triedBy(former, policies, gateways).tried;
}

/** What a policy names; of users once for each issuer, as a rule of Envoy's has them. One that names nothing is tried too. */
function valuesOf(
	{ principals, methods, pathPrefixes, pathTemplates, users, groups, tenants, purposes, claims }: AccessPolicy["spec"],
	issuers: number,
): number {
	const plain = [principals, methods, pathPrefixes, pathTemplates];
	const ofUsers = [users, groups, tenants, purposes, ...claims.map(({ values }) => values)];
	const count = (lists: readonly (readonly unknown[])[]) => lists.reduce((sum, { length }) => sum + length, 0);
	return Math.max(1, count(plain) + issuers * count(ofUsers));
}

/** A caller is one principal: what others are named in, it cannot reach. */
function stepsOf(policies: readonly AccessPolicy[]): number {
	let common = 0;
	let most = 0;
	const named = new Map<string, number>();
	for (const { spec } of policies) {
		const { principals, pathPrefixes, pathTemplates, users } = spec;
		const patterns = principals.filter((id) => id.endsWith("/*")).length;
		const steps = 1 + patterns + pathPrefixes.length + pathTemplates.length + users.length;
		const exact = principals.length > 0 && patterns === 0 && !principals.includes("*") && !principals.includes(ANYONE);
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

export interface DearRules {
	readonly resource: Service;
	/** What is so, and what follows. */
	readonly words: string;
}

/** Services whose rules stand beyond the bound. Looked for once for each set. */
export const dearRules = once(
	({ services, accessPolicies, referenceGrants, gateways }: ResourceSet): readonly DearRules[] =>
		services.flatMap((resource) => {
			const { tried, most } = triedBy(resource, policiesOf(resource, accessPolicies, referenceGrants), gateways);
			if (tried <= most) return [];
			const words = `${wordsOf(resource, tried, most)} it: ${hintOf(resource)}; until then no change is taken that adds to it`;
			return [{ resource, words }];
		}),
);
