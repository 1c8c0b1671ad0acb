/** Names in an AccessPolicy must exist: a mistyped name matches no one. */
import { compileCondition } from "../../../compile/access/conditions/condition.js";
import { servicesOf } from "../../../compile/access/rules/selection.js";
import { findNamed, inNamespace } from "../lookup.js";
import { type Named, resourceTitle } from "../position.js";
import { mayName, namedIn } from "../reference.js";
import type { AccessPolicy, Service } from "../resource.js";
import { knownNamed, knownNames } from "../suggest.js";
import type { Check, Hint } from "./report.js";

/**
 * @param judged Services with a policy about Variants; adds those of this policy
 */
export function policyProblems(check: Check, policy: AccessPolicy, judged: Set<Service>): void {
	const { set, positions } = check;
	const { namespace } = policy.metadata;
	const neighbours = inNamespace(set.services, namespace);
	const namesExist = serviceProblems(check, policy) && dataClassProblems(check, policy);
	const selected = servicesOf(policy, set.services, set.referenceGrants);
	if (selected.length === 0 && namesExist && !positions.hasBroken("Service")) {
		const { services, dataClasses } = policy.spec;
		const byClass = dataClasses.length > 0 && (neighbours.length > 0 || !services.includes("*"));
		const message = byClass
			? `none of the policy's Services has one of its DataClasses (${dataClasses.join(", ")}), so that it selects nothing`
			: `the policy selects nothing: there is no Service in namespace ${namespace}`;
		const hint = byClass
			? "write spec.dataClass in a Service, or remove the policy"
			: "declare one, or remove the policy";
		report(check, policy, byClass ? ["dataClasses"] : ["services", services.indexOf("*")], message, hint);
	}
	const reads = policy.spec.condition === null ? null : compileCondition(policy.spec.condition).reads;
	variantProblems(check, policy, selected);
	if (policy.spec.variants.length > 0 || reads?.variant) servingProblems(check, policy, selected, judged);
	regionProblems(check, policy);
	tokenProblems(check, policy, reads?.user === true);
}

const report = (
	check: Check,
	policy: AccessPolicy,
	path: readonly (string | number)[],
	message: string,
	hint: Hint,
): void => check.report(policy, ["spec", ...path], message, hint);

/**
 * @returns whether all of them exist, so far as known
 */
function serviceProblems(check: Check, policy: AccessPolicy): boolean {
	const { services, referenceGrants } = check.set;
	let all = true;
	for (const [index, written] of policy.spec.services.entries()) {
		if (written === "*") continue;
		const { name, namespace } = namedIn(policy.metadata.namespace, written);
		const service: Named = { kind: "Service", metadata: { name, namespace } };
		const granted = mayName(policy, service, referenceGrants);
		if (granted && findNamed(services, service.metadata) !== undefined) continue;
		all = false;
		// Without a grant no error reveals the other namespace (reference.ts).
		if (!granted || check.positions.isBroken(service)) continue;
		const hint = (): string => {
			const elsewhere = services.find(({ metadata }) => metadata.name === name);
			const known = knownNamed({ name, namespace }, services, "Services");
			return elsewhere === undefined
				? known
				: `${known}; ${resourceTitle(elsewhere)} is of another namespace: declare the policy there, or write ${elsewhere.metadata.namespace}/${name} and have that namespace declare a ReferenceGrant`;
		};
		report(check, policy, ["services", index], `unknown Service ${JSON.stringify(name)}`, hint);
	}
	return all;
}

function dataClassProblems(check: Check, policy: AccessPolicy): boolean {
	let all = true;
	for (const [index, written] of policy.spec.dataClasses.entries()) {
		const { name, namespace } = namedIn(policy.metadata.namespace, written);
		// A DataClass of another namespace is only compared with those of the Services.
		if (namespace !== policy.metadata.namespace) continue;
		if (findNamed(check.set.dataClasses, { name, namespace }) !== undefined) continue;
		all = false;
		if (check.positions.isBroken({ kind: "DataClass", metadata: { name, namespace } })) continue;
		const message = `unknown DataClass ${JSON.stringify(name)}`;
		report(check, policy, ["dataClasses", index], message, () =>
			knownNamed({ name, namespace }, check.set.dataClasses, "DataClasses"),
		);
	}
	return all;
}

/** Each named Service must have the Variant; with `*`, at least one Service. */
function variantProblems(check: Check, policy: AccessPolicy, selected: readonly Service[]): void {
	const variantsOf = ({ spec }: Service): readonly string[] => spec.variants.map(({ name }) => name);
	const everywhere = policy.spec.services.includes("*");
	for (const [index, name] of policy.spec.variants.entries()) {
		const without = selected.filter((service) => !variantsOf(service).includes(name));
		if (everywhere && without.length < selected.length) continue;
		for (const service of everywhere ? without.slice(0, 1) : without) {
			const known = everywhere ? [...new Set(selected.flatMap(variantsOf))] : variantsOf(service);
			const target = everywhere ? "any Service" : resourceTitle(service);
			const message = `unknown variant ${JSON.stringify(name)} of ${target}`;
			report(check, policy, ["variants", index], message, () => knownNames(name, known, "variants"));
		}
	}
}

/**
 * A decision on one Variant must not be served by another. Endpoints and the default Variant change at run time, so
 * every case is refused. Shadow policies decide nothing.
 */
function servingProblems(check: Check, policy: AccessPolicy, selected: readonly Service[], judged: Set<Service>): void {
	if (policy.spec.mode === "shadow") return;
	for (const service of selected) {
		if (service.spec.noEndpoint !== "default-variant") continue;
		// One problem per Service, for any number of policies.
		if (judged.has(service)) continue;
		judged.add(service);
		const message = `spec.noEndpoint is default-variant, but ${resourceTitle(policy)} judges Variants: one Variant would be authorised, another serve`;
		check.report(service, ["spec", "noEndpoint"], message, "write noEndpoint: fail");
	}
}

function regionProblems(check: Check, policy: AccessPolicy): void {
	const { set, positions } = check;
	if (set.gateways.length === 0 || positions.hasBroken("Gateway")) return;
	const known = [...new Set(set.gateways.map(({ spec }) => spec.region).filter((region) => region !== null))];
	for (const [index, region] of policy.spec.regions.entries()) {
		if (known.includes(region)) continue;
		const message = `no Gateway is in region ${JSON.stringify(region)}`;
		const hint = known.length === 0 ? "write spec.region in a Gateway" : () => knownNames(region, known, "regions");
		report(check, policy, ["regions", index], message, hint);
	}
}

/** Without an issuer that a Gateway trusts, rules about users never match. */
function tokenProblems(check: Check, policy: AccessPolicy, condition: boolean): void {
	const { set, positions } = check;
	if (set.gateways.length === 0 || positions.hasBroken("Gateway")) return;
	const issuers = [...new Set(set.gateways.flatMap(({ spec }) => spec.tokens.map(({ issuer }) => issuer)))];
	const { users, groups, tenants, purposes, claims } = policy.spec;
	if (issuers.length === 0) {
		const about = Object.entries({ users, groups, tenants, purposes, claims }).find(([, list]) => list.length > 0)?.[0];
		const field = about ?? (condition ? "condition" : null);
		if (field === null) return;
		const message = `spec.${field} is about users, but no Gateway trusts any token issuer`;
		report(check, policy, [field], message, "add spec.tokens to a Gateway");
		return;
	}
	for (const [index, user] of users.entries()) {
		if (user === "*") continue;
		const issuer = user.slice(0, user.indexOf("#"));
		if (issuers.includes(issuer)) continue;
		const message = `no Gateway trusts token issuer ${JSON.stringify(issuer)}`;
		report(check, policy, ["users", index], message, () => knownNames(issuer, issuers, "issuers"));
	}
}
