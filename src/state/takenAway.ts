/**
 * Deletions that only take access away, and so wait for nobody, as a pause does: what has gone wrong is stopped at once.
 * Never one that widens: with a deny policy, or with the grant that it rests on, callers come in that it kept out. Pure.
 */
import { mayName, referencesOf } from "../resources/reference.js";
import type { AccessPolicy, Resource, ResourceSet } from "../resources/resource.js";

/** @param gone all that one act deletes @param resources as they stand before it */
export function onlyTakesAway(
	gone: readonly Resource[],
	{ accessPolicies, referenceGrants }: Pick<ResourceSet, "accessPolicies" | "referenceGrants">,
): boolean {
	const deleted = new Set<Resource>(gone);
	const left = referenceGrants.filter((one) => !deleted.has(one));
	const rests = (policy: AccessPolicy): boolean =>
		referencesOf(policy).some(({ from, to }) => mayName(from, to, referenceGrants) && !mayName(from, to, left));
	return (
		gone.length > 0 &&
		gone.every(
			(one) => one.kind === "ReferenceGrant" || (one.kind === "AccessPolicy" && one.spec.action === "allow"),
		) &&
		!accessPolicies.some((policy) => policy.spec.action === "deny" && rests(policy))
	);
}
