/**
 * What sidecars have closed by themselves, as xds reports it. Each of a thousand sidecars of one version closes the same
 * Services, and a report has bounds: a Service is told once, with how many close it. Pure.
 */
import type { ClosedService, ProxyStatus } from "../rollout/ports.js";

export interface Reported {
	status(): ProxyStatus;
	/** By name. */
	readonly closedThere: ReadonlyMap<string, ClosedService>;
}

/** Each client's status, with the Services that it is the first to have closed. */
export function withClosures(clients: readonly Reported[]): ProxyStatus[] {
	const counts = new Map<string, number>();
	for (const { closedThere } of clients) {
		for (const service of closedThere.keys()) counts.set(service, (counts.get(service) ?? 0) + 1);
	}
	const told = new Set<string>();
	return clients.map((client) => {
		const status = client.status();
		const first = [...client.closedThere.values()].filter(({ service }) => !told.has(service));
		if (first.length === 0) return status;
		const closed = first.map((one) => {
			told.add(one.service);
			const others = (counts.get(one.service) ?? 1) - 1;
			return others === 0 ? one : { ...one, others };
		});
		return { ...status, closed: [...(status.closed ?? []), ...closed] };
	});
}
