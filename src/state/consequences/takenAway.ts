/**
 * Deletions that only take access away, and so wait for nobody, as a pause does: what has gone wrong is stopped at once.
 * Never one that widens: with a deny policy, or with the grant that it rests on, callers come in that it kept out; with the
 * last policy that looks at users, or at paths, the Service's other policies let in tokens that do not hold, or paths that
 * can be read in two ways. Nor one that closes a Service to everyone, by its last policy that allows or by the grant of that
 * or of its DataClass, which is no smaller a change than to open it. A policy that is left counts where its time holds, at a
 * Gateway's region and for the default Variant, at which all are who are in no Experiment; or will hold, where nobody is let in
 * before. Whether anybody meets its condition, hours or names, or is denied all the same, is not looked at. Pure.
 */
import { loosened } from "../../access/review/policyLoosened.js";
import { policiesOf } from "../../access/rules/selection.js";
import { mayName, referencesOf } from "../../resources/reference.js";
import type { AccessPolicy, Resource, Service } from "../../resources/resource.js";
import type { State } from "../../rollout/ports.js";
import { liveDefault } from "../../rollout/status.js";

/** @param gone all that one act deletes @param known as it stands before it */
export function onlyTakesAway(
	gone: readonly Resource[],
	{ resources, status }: Pick<State, "resources" | "status">,
	nowMs: number,
): boolean {
	const { services, accessPolicies, referenceGrants } = resources;
	const deleted = new Set<Resource>(gone);
	const left = referenceGrants.filter((one) => !deleted.has(one));
	const kept = accessPolicies.filter((one) => !deleted.has(one));
	const rests = (one: AccessPolicy | Service): boolean =>
		referencesOf(one).some(({ from, to }) => mayName(from, to, referenceGrants) && !mayName(from, to, left));
	const regions = new Set(resources.gateways.map(({ spec }) => spec.region));
	const letsIn = ({ spec }: AccessPolicy, variant: string, when: "now" | "ever"): boolean =>
		spec.mode === "enforce" &&
		spec.action === "allow" &&
		nowMs < (spec.validUntilMs ?? Number.POSITIVE_INFINITY) &&
		(when === "ever" || nowMs >= (spec.validFromMs ?? Number.NEGATIVE_INFINITY)) &&
		(spec.variants.length === 0 || spec.variants.includes(variant)) &&
		(spec.regions.length === 0 || spec.regions.some((region) => regions.has(region)));
	const closes = (service: Service): boolean => {
		const variant = liveDefault(service, status);
		const [all, rest] = [policiesOf(service, accessPolicies, referenceGrants), policiesOf(service, kept, left)];
		return (["now", "ever"] as const).some((when) => {
			const isIn = (one: AccessPolicy): boolean => letsIn(one, variant, when);
			return all.some(isIn) && !rest.some(isIn);
		});
	};
	return (
		gone.length > 0 &&
		gone.every(
			(one) => one.kind === "ReferenceGrant" || (one.kind === "AccessPolicy" && one.spec.action === "allow"),
		) &&
		!accessPolicies.some((policy) => policy.spec.action === "deny" && rests(policy)) &&
		!services.some((one) => rests(one) || closes(one)) &&
		loosened(resources, { services, accessPolicies: kept, referenceGrants: left }).length === 0
	);
}
