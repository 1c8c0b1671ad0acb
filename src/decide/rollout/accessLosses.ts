/**
 * Promotions that would deny callers who use the Service's default Variant today. A static check: an enforced AccessPolicy
 * that allows the current default and not the arm's Variant, or denies the arm's and not the current one. Pure.
 */
import { policiesOf } from "../../compile/access/rules/selection.js";
import { findQualified, serviceOf } from "../../declare/resources/lookup.js";
import { type Experiment, qualifiedName, type ResourceSet } from "../../declare/resources/resource.js";
import { liveDefault, type Status } from "./status.js";

interface Known {
	readonly resources: Pick<ResourceSet, "services" | "accessPolicies" | "referenceGrants">;
	readonly status: Pick<Status, "services">;
}

/** By challenger, a sentence without the full stop; empty = no loss of access. */
export function accessLosses({ resources, status }: Known, experiment: Experiment): Readonly<Record<string, string>> {
	const service = findQualified(resources.services, serviceOf(experiment));
	if (service === undefined) return {};
	const from = liveDefault(service, status);
	const policies = policiesOf(service, resources.accessPolicies, resources.referenceGrants).filter(
		({ spec }) => spec.mode === "enforce" && spec.variants.length > 0,
	);
	const losses = experiment.spec.arms.flatMap(({ name: arm, variant: to, baseline }) => {
		const policy = policies.find(({ spec: { action, variants } }) =>
			action === "allow" ? names(variants, from, to) : names(variants, to, from),
		);
		if (baseline || policy === undefined) return [];
		const what = policy.spec.action === "allow" ? `allows ${from} and not ${to}` : `denies ${to} and not ${from}`;
		const by = `AccessPolicy ${qualifiedName(policy.metadata)} ${what}`;
		return [[arm, `a promotion of arm ${arm} would deny callers that use the default Variant today: ${by}`] as const];
	});
	return Object.fromEntries(losses);
}

const names = (variants: readonly string[], one: string, other: string): boolean =>
	variants.includes(one) && !variants.includes(other);
