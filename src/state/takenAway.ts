/**
 * Deletions that only take access away, and so wait for nobody, as a pause does: what has gone wrong is stopped at once.
 * Never one that widens: with a deny policy, or with the grant that it rests on, callers come in that it kept out; with the
 * last policy that looks at users, or at paths, the Service's other policies let in tokens that do not hold, or paths that
 * can be read in two ways. Nor one that closes a Service to everyone, by its last policy that allows or by the grant of that
 * or of its DataClass, which is no smaller a change than to open it. Pure.
 */
import { loosened } from "../access/policyLoosened.js";
import { policiesOf } from "../access/selection.js";
import { mayName, referencesOf } from "../resources/reference.js";
import type { AccessPolicy, ReferenceGrant, Resource, ResourceSet, Service } from "../resources/resource.js";

/** @param gone all that one act deletes @param resources as they stand before it */
export function onlyTakesAway(
	gone: readonly Resource[],
	rules: Pick<ResourceSet, "services" | "accessPolicies" | "referenceGrants">,
): boolean {
	const { services, accessPolicies, referenceGrants } = rules;
	const deleted = new Set<Resource>(gone);
	const left = referenceGrants.filter((one) => !deleted.has(one));
	const kept = accessPolicies.filter((one) => !deleted.has(one));
	const rests = (one: AccessPolicy | Service): boolean =>
		referencesOf(one).some(({ from, to }) => mayName(from, to, referenceGrants) && !mayName(from, to, left));
	const isReached = (service: Service, policies: readonly AccessPolicy[], grants: readonly ReferenceGrant[]): boolean =>
		policiesOf(service, policies, grants).some(({ spec }) => spec.mode === "enforce" && spec.action === "allow");
	const closes = (service: Service): boolean =>
		rests(service) || (isReached(service, accessPolicies, referenceGrants) && !isReached(service, kept, left));
	return (
		gone.length > 0 &&
		gone.every(
			(one) => one.kind === "ReferenceGrant" || (one.kind === "AccessPolicy" && one.spec.action === "allow"),
		) &&
		!accessPolicies.some((policy) => policy.spec.action === "deny" && rests(policy)) &&
		!services.some(closes) &&
		loosened(rules, { services, accessPolicies: kept, referenceGrants: left }).length === 0
	);
}
