/**
 * What a Service may ask of the sidecar. A callout that carries a verdict always fails closed, so passing without
 * its answer is refused wherever it could carry one.
 */
import type { Check } from "./report.js";
import type { Service } from "./resource.js";

export function calloutProblems({ set, report }: Check): void {
	for (const service of set.services) {
		const { callout, access } = service.spec;
		if (callout.access === "sidecar" && access === "open") {
			const hint = "remove access: open and add an AccessPolicy, or write access: native here";
			const message = "spec.callout.access is sidecar, but the Service is open: there is no access to decide";
			report(service, ["spec", "callout", "access"], message, hint);
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

/** Why the sidecar would decide the Service's access; null where Envoy does, or nobody needs to. */
function verdictReason({ set }: Pick<Check, "set">, service: Service): string | null {
	if (service.spec.callout.access === "sidecar") return "the sidecar decides access (callout.access)";
	const { name, namespace } = service.metadata;
	const mints = set.experiments.some(
		({ metadata, spec }) => metadata.namespace === namespace && spec.service === name && spec.unit.from === "cookie",
	);
	const judging = set.accessPolicies.find(
		({ metadata, spec }) =>
			metadata.namespace === namespace && spec.services.includes(name) && spec.variants.length > 0,
	);
	if (!mints || judging === undefined) return null;
	return `the sidecar decides access: AccessPolicy ${judging.metadata.name} judges Variants, and the sidecar chooses them`;
}
