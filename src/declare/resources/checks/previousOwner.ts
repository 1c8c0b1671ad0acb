/** Ownership of values that only one Service may have, such as a host. */
import { resourceTitle } from "../position.js";
import type { Service } from "../resource.js";
import type { Check } from "./report.js";

/**
 * Owners of values that Services had before the change and still have, in stored order. An edit of another field does
 * not change the owner. A new value belongs to the first Service that has it.
 */
export function previousOwners(
	{ set, before }: Pick<Check, "set" | "before">,
	claimsOf: (service: Service) => readonly string[],
): Map<string, Service> {
	const owners = new Map<string, Service>();
	if (before === null) return owners;
	const now = new Map(set.services.map((service) => [resourceTitle(service), service]));
	for (const former of before.services) {
		const service = now.get(resourceTitle(former));
		if (service === undefined) continue;
		const kept = new Set(claimsOf(service));
		for (const claim of claimsOf(former)) if (kept.has(claim) && !owners.has(claim)) owners.set(claim, service);
	}
	return owners;
}
