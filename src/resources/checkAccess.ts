/** Access must be said: a Service is open or selected by a policy, never neither and never both. */
import { resourceTitle } from "./position.js";
import type { Check } from "./report.js";
import { type AccessPolicy, demandsClientCertificates, type Service } from "./resource.js";
import { knownNames } from "./suggest.js";

/** A policy's Variants must exist in each of its Services: a name with a slip would allow or deny nobody. */
function variantProblems({ report }: Pick<Check, "report">, policy: AccessPolicy, service: Service): void {
	const known = service.spec.variants.map((variant) => variant.name);
	for (const [index, name] of policy.spec.variants.entries()) {
		if (known.includes(name)) continue;
		const message = `unknown variant ${JSON.stringify(name)} of Service ${service.metadata.name}`;
		report(policy, ["spec", "variants", index], message, knownNames(name, known, "variants"));
	}
}

/**
 * A verdict on one Variant must not be served by another. Which Variants have endpoints, and which one is the default
 * (a promotion changes it), is not known when this is read, so that no case is harmless.
 */
function servingProblem({ report }: Pick<Check, "report">, policy: AccessPolicy, service: Service): void {
	if (service.spec.noEndpoint !== "default-variant") return;
	const message = `spec.noEndpoint is default-variant, but AccessPolicy ${policy.metadata.name} judges Variants: one Variant would be authorised, another serve`;
	report(service, ["spec", "noEndpoint"], message, "write noEndpoint: fail");
}

export function accessProblems({ set, positions, report }: Check): void {
	const selected = new Set<Service>();
	const judged = new Map<Service, AccessPolicy>();
	for (const policy of set.accessPolicies) {
		const { namespace } = policy.metadata;
		const known = set.services.filter((service) => service.metadata.namespace === namespace);
		for (const [index, name] of policy.spec.services.entries()) {
			const service = known.find((candidate) => candidate.metadata.name === name);
			if (service !== undefined) {
				selected.add(service);
				if (policy.spec.variants.length > 0 && !judged.has(service)) judged.set(service, policy);
				variantProblems({ report }, policy, service);
			} else if (!positions.isBroken({ kind: "Service", metadata: { name, namespace } })) {
				const names = known.map((candidate) => candidate.metadata.name);
				const message = `unknown Service ${JSON.stringify(name)}`;
				report(policy, ["spec", "services", index], message, knownNames(name, names, "Services"));
			}
		}
	}
	for (const [service, policy] of judged) servingProblem({ report }, policy, service);
	const policiesComplete = !positions.hasBroken("AccessPolicy");
	for (const service of set.services) {
		const open = service.spec.access === "open";
		if (open && selected.has(service)) {
			const message = `${resourceTitle(service)} is open and selected by an AccessPolicy`;
			report(service, ["spec", "access"], message, "remove access: open, or take it out of the policy's services");
		} else if (!open && !selected.has(service) && policiesComplete) {
			const message = `${resourceTitle(service)} does not say who may call it`;
			const hint = "write access: open for everyone, or add an AccessPolicy whose services list it";
			report(service, ["spec"], message, hint);
		}
	}
	// Without a client CA no caller has an identity, so that every request to a protected Service would be denied.
	const identifies = set.gateways.some(demandsClientCertificates);
	const guarded = set.services.find((service) => service.spec.access === null && selected.has(service));
	const [gateway] = set.gateways;
	if (guarded !== undefined && gateway !== undefined && !identifies && !positions.hasBroken("Gateway")) {
		const message = `no Gateway asks for client certificates, so nobody could be identified to ${resourceTitle(guarded)}`;
		const hint = "add spec.tls.clientCaFile to a Gateway, or write access: open in the Service";
		report(gateway, gateway.spec.tls === null ? ["spec"] : ["spec", "tls"], message, hint);
	}
}
