/**
 * Services that sidecars have closed by themselves, for the report of xds. Many sidecars of one version close the
 * same Services, so each Service is reported with the first client that closes it and the number of others.
 */
import type { ClosedService, ProxyStatus } from "../../decide/rollout/ports.js";

export interface Reported {
	status(): ProxyStatus;
	/** By name. */
	readonly closedBySidecar: ReadonlyMap<string, ClosedService>;
}

/** Each client's status, with the Services that no client before it has closed. */
export function withClosures(clients: readonly Reported[]): ProxyStatus[] {
	const count = new Map<string, number>();
	for (const { closedBySidecar } of clients)
		for (const service of closedBySidecar.keys()) count.set(service, (count.get(service) ?? 0) + 1);
	const reported = new Set<string>();
	return clients.map((client) => {
		const status = client.status();
		const first = [...client.closedBySidecar.values()].filter(({ service }) => !reported.has(service));
		if (first.length === 0) return status;
		for (const { service } of first) reported.add(service);
		const own = first.map((one) => {
			const others = (count.get(one.service) ?? 1) - 1;
			return others === 0 ? one : { ...one, others };
		});
		return { ...status, closed: [...(status.closed ?? []), ...own] };
	});
}
