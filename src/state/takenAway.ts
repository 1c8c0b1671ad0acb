/**
 * Deletions that only take access away, and so wait for nobody, as a pause does: what has gone wrong is stopped at once.
 * Never one that widens: with a deny policy, or with the grant that it rests on, callers come in that it kept out. Nor one
 * that closes a Service to everyone, which is no smaller a change than to open it. Pure.
 */
import { selects } from "../access/table.js";
import { mayName, referencesOf } from "../resources/reference.js";
import type { AccessPolicy, ReferenceGrant, Resource, ResourceSet, Service } from "../resources/resource.js";

/** @param gone all that one act deletes @param resources as they stand before it */
export function onlyTakesAway(
	gone: readonly Resource[],
	{ services, accessPolicies, referenceGrants }: Pick<ResourceSet, "services" | "accessPolicies" | "referenceGrants">,
): boolean {
	const deleted = new Set<Resource>(gone);
	const left = referenceGrants.filter((one) => !deleted.has(one));
	const rests = (policy: AccessPolicy): boolean =>
		referencesOf(policy).some(({ from, to }) => mayName(from, to, referenceGrants) && !mayName(from, to, left));
	const lets = (policy: AccessPolicy, service: Service, grants: readonly ReferenceGrant[]): boolean =>
		policy.spec.mode === "enforce" && policy.spec.action === "allow" && selects(policy, service, grants);
	const closes = (service: Service): boolean =>
		accessPolicies.some((policy) => lets(policy, service, referenceGrants)) &&
		!accessPolicies.some((policy) => !deleted.has(policy) && lets(policy, service, left));
	return (
		gone.length > 0 &&
		gone.every(
			(one) => one.kind === "ReferenceGrant" || (one.kind === "AccessPolicy" && one.spec.action === "allow"),
		) &&
		!accessPolicies.some((policy) => policy.spec.action === "deny" && rests(policy)) &&
		!services.some(closes)
	);
}
