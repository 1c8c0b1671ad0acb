/**
 * What a Service may ask of the sidecar. A callout that carries a verdict always fails closed, so passing without
 * its answer is refused wherever it could carry one.
 */
import { judgedApart } from "../access/eligibility.js";
import { accessTable, judgesUsers, judgesVariants, nativeObstacle } from "../access/table.js";
import type { Check } from "./report.js";
import { qualifiedName, type Service } from "./resource.js";

export function calloutProblems({ set, positions, report }: Check): void {
	for (const service of set.services) {
		const { callout, access, rateLimits } = service.spec;
		if (rateLimits.tenant !== null) {
			const fault = tenantFault({ set, positions }, service);
			if (fault !== null) report(service, ["spec", "rateLimits", "tenant"], fault.message, fault.hint);
		}
		const proxied = set.gateways.find(({ spec }) => spec.trustedProxies.length > 0);
		if (rateLimits.principal !== null && proxied !== undefined) {
			const behind = `Gateway ${qualifiedName(proxied.metadata)} has trustedProxies`;
			const message = `spec.rateLimits.principal is given, but ${behind}: Envoy, which holds the limits, would count all clients of a proxy as one`;
			report(service, ["spec", "rateLimits", "principal"], message, "limit the service, or remove trustedProxies");
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
		const why = verdictReason({ set }, service);
		if (why === null) continue;
		if (callout.onFailure === "default-variant") {
			const message = `spec.callout.onFailure is default-variant, but ${why}: without its answer nobody may pass`;
			report(service, ["spec", "callout", "onFailure"], message, "write onFailure: deny");
		}
		if (callout.onStale === "assign") {
			const message = `spec.callout.onStale is assign, but ${why}: by old rules nobody may pass`;
			report(service, ["spec", "callout", "onStale"], message, "write onStale: deny");
		}
	}
}

/** Why a limit of tenants would not hold: Envoy knows a tenant only where it verifies tokens itself, and must find one. */
function tenantFault(
	check: Pick<Check, "set" | "positions">,
	service: Service,
): { readonly message: string; readonly hint: string } | null {
	const { set, positions } = check;
	const given = "spec.rateLimits.tenant is given, but";
	if (set.gateways.length > 0 && !positions.hasBroken("Gateway")) {
		if (set.gateways.every(({ spec }) => spec.tokens.length === 0)) {
			const message = `${given} no Gateway believes any issuer's tokens: no tenant is known`;
			return { message, hint: "add spec.tokens to a Gateway, or limit principals" };
		}
	}
	const why = verdictReason(check, service);
	if (why !== null) {
		const message = `${given} ${why}, and Envoy, which holds the limits, verifies no token then`;
		return { message, hint: "remove rateLimits.tenant, or limit principals" };
	}
	const enforced = set.accessPolicies.filter(({ spec }) => spec.mode === "enforce");
	if (judgesUsers(accessTable(service, enforced, set.referenceGrants)) || positions.hasBroken("AccessPolicy"))
		return null;
	const message = `${given} no enforced AccessPolicy of the Service is about users: nobody needs a token, and who shows none has no limit of a tenant`;
	return { message, hint: "name users, groups, tenants, purposes or claims in a policy, or limit principals" };
}

/** Why the sidecar would decide the Service's access; null where Envoy does, or nobody needs to. */
function verdictReason({ set }: Pick<Check, "set">, service: Service): string | null {
	const { callout } = service.spec;
	if (callout.access === "sidecar") return "the sidecar decides access (callout.access)";
	if (callout.sign) return "the sidecar decides access, as it signs each decision (callout.sign)";
	const { name, namespace } = service.metadata;
	const access = accessTable(
		service,
		set.accessPolicies.filter(({ spec }) => spec.mode === "enforce"),
		set.referenceGrants,
	);
	for (const policy of access.policies) {
		const obstacle = nativeObstacle(policy);
		if (obstacle !== null) return `the sidecar decides access: AccessPolicy ${policy.name} has ${obstacle}`;
	}
	const bound = set.gateways.flatMap(({ spec }) => spec.tokens).find(({ binding }) => binding !== "none");
	if (bound !== undefined && judgesUsers(access)) {
		return `the sidecar decides access: tokens of ${bound.issuer} are bound (${bound.binding})`;
	}
	const own = set.experiments.filter(({ metadata, spec }) => metadata.namespace === namespace && spec.service === name);
	for (const { metadata, spec } of own) {
		const variants = [...new Set(spec.arms.filter(({ weight }) => weight > 0).map(({ variant }) => variant))];
		const apart = judgedApart(access, variants, service.spec.defaultVariant);
		if (apart === null) continue;
		return `the sidecar decides access: AccessPolicy ${apart.policy} judges the Variants of Experiment ${qualifiedName(metadata)} apart, and only who may use all takes part`;
	}
	const mints = own.some(({ spec }) => spec.unit.from === "cookie");
	const judging = access.policies.find((policy) => judgesVariants({ open: false, policies: [policy] }));
	if (!mints || judging === undefined) return null;
	return `the sidecar decides access: AccessPolicy ${judging.name} judges Variants, and the sidecar chooses them`;
}
