/** What only one Service may have, such as a host: whose it is where several name it. */
import { resourceTitle } from "../position.js";
import type { Service } from "../resource.js";
import type { Check } from "./report.js";

/**
 * Owners of what Services named before the change and name still, in the order in which they were stored: who edits
 * something else of such a Service is not second for it. What nobody had goes to whoever names it first.
 */
export function formerOwners(
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
