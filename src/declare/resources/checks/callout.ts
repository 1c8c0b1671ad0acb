/**
 * Rules for a Service's callout. One that decides access always fails closed, so an option to pass without its response
 * is refused.
 */

import { accessTable, judgesUsers } from "../../../compile/access/rules/accessTable.js";
import { type Eligibility, policyThatDiffers } from "../../../compile/access/rules/eligibility.js";
import { tooManyListed } from "../../../compile/access/rules/listedValues.js";
import { proxiedGateway, verdictReason } from "../../../compile/access/verdictReason.js";
import { experimentsOf } from "../lookup.js";
import { demandsClientCertificates, qualifiedName, type ResourceSet, type Service } from "../resource.js";
import type { Check } from "./report.js";

export function calloutProblems(check: Check): void {
	const { set, positions, report } = check;
	for (const service of set.services) {
		const { callout, access, rateLimits } = service.spec;
		if (rateLimits.tenant !== null) {
			const fault = tenantFault({ set, positions }, service);
			if (fault !== null) report(service, ["spec", "rateLimits", "tenant"], fault.message, fault.hint);
		}
		if (rateLimits.principal !== null) {
			for (const { message, hint } of principalFaults(check))
				report(service, ["spec", "rateLimits", "principal"], message, hint);
		}
		const field = callout.access === "sidecar" ? "access" : callout.sign ? "sign" : null;
		if (field !== null && access === "open") {
			const what = field === "access" ? "access is sidecar" : "sign is true";
			const instead = field === "access" ? "access: native" : "sign: false";
			const hint = `remove access: open and add an AccessPolicy, or write ${instead} here`;
			const message = `spec.callout.${what}, but the Service is open: there is no access to decide`;
			report(service, ["spec", "callout", field], message, hint);
			continue;
		}
		if (callout.sign && service.spec.noEndpoint === "default-variant") {
			const message =
				"spec.noEndpoint is default-variant, but spec.callout.sign is true: a decision names the Variant of the arm, and the default one's server would refuse it";
			report(service, ["spec", "noEndpoint"], message, "write noEndpoint: fail, or sign: false");
		}
		const why = sidecarDecides({ set }, service);
		if (why === null) continue;
		if (callout.onFailure === "default-variant") {
			const message = `spec.callout.onFailure is default-variant, but ${why}: without its answer access must be denied`;
			report(service, ["spec", "callout", "onFailure"], message, `write onFailure: deny${orFewer(set, service, why)}`);
		}
		if (callout.onStale === "assign") {
			const message = `spec.callout.onStale is assign, but ${why}: with old rules access must be denied`;
			report(service, ["spec", "callout", "onStale"], message, `write onStale: deny${orFewer(set, service, why)}`);
		}
	}
}

interface Fault {
	readonly message: string;
	readonly hint: string;
}

/**
 * Gateways where Envoy cannot authenticate principals, who would share one limit. Every Service is reachable through
 * every Gateway; each is named, so that a new one is a new problem.
 */
function principalFaults({ set }: Check): readonly Fault[] {
	const given = "spec.rateLimits.principal is given, but Gateway";
	const proxied = proxiedGateway(set.gateways);
	if (proxied !== null) {
		const message = `${given} ${proxied} has trustedProxies: Envoy, which holds the limits, would count all clients of a proxy as one`;
		return [{ message, hint: "limit the service, or remove trustedProxies" }];
	}
	const open = set.gateways.filter((gateway) => !demandsClientCertificates(gateway));
	return open.map(({ metadata }) => ({
		message: `${given} ${qualifiedName(metadata)} demands no client certificates: all its callers would share one limit, and one of them could use it up`,
		hint: "limit the service, or give the Gateway tls: {identity: mesh}, or tls with clientCaFile",
	}));
}

/** Why a tenant limit would have no effect: Envoy knows a tenant only if it verifies tokens itself and requires one. */
function tenantFault(check: Pick<Check, "set" | "positions">, service: Service): Fault | null {
	const { set, positions } = check;
	const given = "spec.rateLimits.tenant is given, but";
	if (set.gateways.length > 0 && !positions.hasBroken("Gateway")) {
		if (set.gateways.every(({ spec }) => spec.tokens.length === 0)) {
			const message = `${given} no Gateway trusts any token issuer: no tenant is known`;
			return { message, hint: "add spec.tokens to a Gateway, or limit principals" };
		}
	}
	const why = sidecarDecides(check, service);
	if (why !== null) {
		const message = `${given} ${why}, and Envoy, which holds the limits, verifies no token then`;
		return { message, hint: tenantHint(set, service, why) };
	}
	if (judgesUsers(accessTable(service, set.accessPolicies, set.referenceGrants)) || positions.hasBroken("AccessPolicy"))
		return null;
	const message = `${given} no enforced AccessPolicy of the Service is about users: no token is required, and callers without one have no tenant limit`;
	return { message, hint: "name users, groups, tenants, purposes or claims in a policy, or limit principals" };
}

const tenantHint = (set: ResourceSet, service: Service, why: string): string =>
	`remove rateLimits.tenant, or limit principals${orFewer(set, service, why)}`;

/** The further hint if lists are too long for Envoy: a policy of this change may have caused it. */
function orFewer(set: Check["set"], service: Service, why: string): string {
	const { policies } = accessTable(service, set.accessPolicies, set.referenceGrants);
	const dear = tooManyListed(policies.filter(({ shadow }) => !shadow));
	return dear !== null && why.endsWith(dear)
		? ", or name fewer groups, tenants, purposes and values of claims in its policies"
		: "";
}

/**
 * Why the sidecar decides the Service's access; null if Envoy or no one does. Promotions do not matter: if the policies
 * differ between the default Variant and a winner, they do for its Experiment too.
 */
export function sidecarDecides({ set }: Pick<Check, "set">, service: Service): string | null {
	const why = verdictOf({ set }, service);
	return why === null ? null : `the sidecar decides access: ${why}`;
}

/** Whether it also decides without the Experiments, which end without a change of the declaration. */
export const sidecarDecidesAlways = ({ set }: Pick<Check, "set">, service: Service): boolean =>
	verdictOf({ set: { ...set, experiments: [] } }, service) !== null;

function verdictOf({ set }: Pick<Check, "set">, service: Service): string | null {
	const access = accessTable(service, set.accessPolicies, set.referenceGrants);
	const own = experimentsOf(set.experiments, service);
	const eligibility =
		own
			.map(({ metadata, spec }): Eligibility | null => {
				const variants = [...new Set(spec.arms.filter(({ weight }) => weight > 0).map(({ variant }) => variant))];
				const apart = policyThatDiffers(access, variants, service.spec.defaultVariant);
				return apart === null ? null : { ...apart, experiment: qualifiedName(metadata) };
			})
			.find((one) => one !== null) ?? null;
	return verdictReason({
		access,
		callout: service.spec.callout,
		issuers: set.gateways.flatMap(({ spec }) => spec.tokens),
		proxied: proxiedGateway(set.gateways),
		eligibility,
		sidecarAssigns: own.some(({ spec }) => spec.unit.from === "cookie"),
	});
}

export interface LapsedLimit {
	readonly resource: Service;
	/** The problem, and how to solve it. */
	readonly message: string;
}

/**
 * Services whose tenant limit has no effect, because a Gateway or a promotion changed who decides access.
 * @param live the published state: current default Variants, without ended Experiments
 */
export const lapsedLimits = (live: ResourceSet): readonly LapsedLimit[] =>
	live.services.flatMap((resource): readonly LapsedLimit[] => {
		if (resource.spec.rateLimits.tenant === null) return [];
		const why = sidecarDecides({ set: live }, resource);
		if (why === null) return [];
		const message = `spec.rateLimits.tenant has no effect: ${why}, and Envoy, which holds the limits, verifies no token then; ${tenantHint(live, resource, why)}`;
		return [{ resource, message }];
	});
