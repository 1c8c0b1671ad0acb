/**
 * What happens to a request, rule by rule, in words, and whether Envoy does it natively. In this version every
 * rule that resources accepts is native; a rule that is not gets a reason here before it gets a callout.
 */
import { judgesPaths, policiesOf } from "../access/policy.js";
import { type AccessPolicy, qualifiedName, type ResourceSet, type Service } from "../resources/resource.js";
import { isProtected } from "./accessControl.js";
import type { ExperimentTable, PlanTable, RuleExecution, ServiceTable } from "./plan.js";

export function explainRules(resources: ResourceSet, table: PlanTable): readonly RuleExecution[] {
	return resources.services.flatMap((service) => {
		const own = table.services.find(({ name }) => name === qualifiedName(service.metadata));
		if (own === undefined) return [];
		return [
			accessRule(service, resources.accessPolicies),
			...own.experiments.map((experiment) => experimentRule(own, experiment)),
			{
				rule: `Service ${own.name}: everything else`,
				execution: "native" as const,
				because: `route to Variant ${own.defaultVariant}`,
			},
		];
	});
}

function accessRule(service: Service, policies: readonly AccessPolicy[]): RuleExecution {
	const own = policiesOf(service, policies);
	const name = qualifiedName(service.metadata);
	if (!isProtected(service, policies)) {
		return { rule: `Service ${name}: access`, execution: "native", because: "OPEN: anyone may call it (access: open)" };
	}
	const count = (action: string) =>
		own.filter(({ spec }) => spec.action === action).map(({ metadata }) => metadata.name);
	const list = (names: readonly string[]) => (names.length === 0 ? "none" : names.join(", "));
	return {
		rule: `Service ${name}: access`,
		execution: "native",
		because: `RBAC on the client certificate's SPIFFE id: deny by default; forbidden by ${list(count("deny"))}; allowed by ${list(count("allow"))}${judgesPaths(own) ? "; a path with ; (%3b) or %00 is forbidden" : ""}`,
	};
}

function experimentRule(service: ServiceTable, experiment: ExperimentTable): RuleExecution {
	const percent = (points: number) => `${points / 10_000}%`;
	const slot =
		experiment.slotLoPpm === 0 && experiment.slotHiPpm === 1_000_000
			? "the whole layer"
			: `layer slot ${percent(experiment.slotLoPpm)}–${percent(experiment.slotHiPpm)}`;
	const arms = experiment.arms.map((arm) => `${arm.name} → ${arm.variant} ${percent(arm.livePoints)}`).join(", ");
	const live = experiment.arms.reduce((sum, arm) => sum + arm.livePoints, 0);
	const takeover =
		experiment.takeover === null
			? ""
			: `; ${experiment.takeover.arm} is taking over ${percent(experiment.takeover.ppm)} of every other share`;
	return {
		rule: `Experiment ${experiment.name}: one valid ${experiment.unitHeader} in ${slot}`,
		execution: "native",
		because: `weighted clusters by XXH64("${experiment.salt}:" + unit): ${arms}, rest → ${service.defaultVariant} ${percent(1_000_000 - live)}${takeover}`,
	};
}
