/**
 * Whom a promotion would shut out: callers outside of the Experiment get the Service's default Variant, and where an
 * AccessPolicy lets them use the one of now and not the winner's they would be refused for good. Nobody's health shows it, for
 * they are no units. So the loop does not begin such a promotion, and a person says that it is meant. Judged where it begins:
 * a policy that changes during a takeover is a person's act. Pure.
 */
import { shutOutBy } from "../access/shutOut.js";
import { accessTable } from "../access/table.js";
import { SHUT_OUT_NAMED_MAX } from "../limits.js";
import { type Experiment, qualifiedName, type ResourceSet } from "../resources/resource.js";
import type { ShutOut } from "./decision.js";
import { liveDefault, type Status } from "./status.js";

type Rules = Pick<ResourceSet, "services" | "accessPolicies" | "referenceGrants">;

/** By challenger; who shuts out nobody is left out. @param nowMs 0: at any time */
export function shutOuts(
	{ resources, status }: { readonly resources: Rules; readonly status: Pick<Status, "services"> },
	{ metadata: { namespace }, spec }: Experiment,
	nowMs: number,
): Readonly<Record<string, ShutOut>> {
	const name = qualifiedName({ name: spec.service, namespace });
	const service = resources.services.find(({ metadata }) => qualifiedName(metadata) === name);
	if (service === undefined) return {};
	const access = accessTable(service, resources.accessPolicies, resources.referenceGrants);
	const from = liveDefault(service, status);
	return Object.fromEntries(
		spec.arms.flatMap((arm) => {
			if (arm.baseline) return [];
			const policies = shutOutBy(access, from, arm.variant, nowMs);
			if (policies.length === 0) return [];
			const named = policies.slice(0, SHUT_OUT_NAMED_MAX);
			return [[arm.name, { from, to: arm.variant, policies: named, more: policies.length - named.length }]];
		}),
	);
}

/** What it is, without the full stop. */
export function shutOutWords(one: ShutOut): string {
	return `by ${policiesOf(one)} requests may use variant ${one.from}, the Service's default, that may not use ${one.to}`;
}

/** What ends it, without the full stop. */
export function shutOutCure({ from, to }: ShutOut): string {
	return `let AccessPolicies say of ${to} what they say of ${from} (an allow: name both in its variants)`;
}

/** `AccessPolicy a, b and 3 more` */
export function policiesOf({ policies, more }: ShutOut): string {
	return `AccessPolicy ${policies.join(", ")}${more === 0 ? "" : ` and ${more} more`}`;
}

/** For who declares an Experiment that may promote by itself: one sentence a challenger, without the full stop. */
export function shutOutWarnings(
	state: Parameters<typeof shutOuts>[0],
	experiment: Experiment,
	nowMs: number,
): readonly string[] {
	if (experiment.spec.goal === null) return [];
	return Object.entries(shutOuts(state, experiment, nowMs)).map(
		([arm, one]) => `${arm} will not be promoted by itself: ${shutOutWords(one)}; ${shutOutCure(one)}`,
	);
}
