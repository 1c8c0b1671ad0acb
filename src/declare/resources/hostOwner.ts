/** Routes a host to its Service: an exact host, otherwise the longest wildcard, as in Envoy's domains. Pure. */
import { wildcardsOver } from "./fields/host.js";
import type { Service } from "./resource.js";

/**
 * @returns the Service for a host in lower case without port, or for a wildcard that no Service has exactly; null = none
 */
export function hostOwners(services: readonly Service[]): (host: string) => Service | null {
	// The first Service wins; duplicates are refused elsewhere.
	const owners = new Map(
		services.flatMap((service) => service.spec.hosts.map((host) => [host, service] as const)).reverse(),
	);
	return (host) => {
		const exact = owners.get(host);
		if (exact !== undefined) return exact;
		for (const wildcard of wildcardsOver(host)) {
			const owner = owners.get(wildcard);
			if (owner !== undefined) return owner;
		}
		return null;
	};
}
