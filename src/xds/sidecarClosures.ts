/**
 * What sidecars have closed by themselves, as xds reports it. Each of a thousand sidecars of one version closes the same
 * Services, and a report has bounds: a Service is told once, with how many close it. Each of them connects anew every few
 * minutes, which is no news: since when it is closed, and for what, stays as it was.
 */
import { XDS_CLIENT_AWAY_MS } from "../limits.js";
import type { ClosedService, ProxyStatus } from "../rollout/ports.js";

export interface Reported {
	status(): ProxyStatus;
	/** By name. */
	readonly closedThere: ReadonlyMap<string, ClosedService>;
}

interface Told {
	sinceMs: number;
	why: string;
	/** Since when no client says just that; null = one does. */
	unsaidSinceMs: number | null;
}

/** What was told of each Service, for as long as a client that says it may come back. */
export class ToldClosures {
	readonly #told = new Map<string, Told>();

	constructor(readonly nowMs: () => number = Date.now) {}

	/** @returns by Service, as it is to be told */
	look(closed: ReadonlyMap<string, readonly ClosedService[]>): ReadonlyMap<string, Told> {
		const nowMs = this.nowMs();
		for (const [service, told] of this.#told) {
			const said = closed.get(service) ?? [];
			if (said.some(({ why }) => why === told.why)) told.unsaidSinceMs = null;
			else told.unsaidSinceMs ??= nowMs;
			if (told.unsaidSinceMs === null || nowMs < told.unsaidSinceMs + XDS_CLIENT_AWAY_MS) continue;
			const [first] = said;
			if (first === undefined) this.#told.delete(service);
			else Object.assign(told, { why: first.why, unsaidSinceMs: null });
		}
		for (const [service, said] of closed) {
			const told = this.#told.get(service);
			const sinceMs = said.reduce(
				(least, one) => Math.min(least, one.sinceMs),
				told?.sinceMs ?? Number.POSITIVE_INFINITY,
			);
			if (told === undefined) this.#told.set(service, { sinceMs, why: said[0]?.why ?? "", unsaidSinceMs: null });
			else told.sinceMs = sinceMs;
		}
		return this.#told;
	}
}

/** Each client's status, with the Services that it is the first to have closed. */
export function withClosures(clients: readonly Reported[], told = new ToldClosures()): ProxyStatus[] {
	const closed = new Map<string, ClosedService[]>();
	for (const { closedThere } of clients) {
		for (const one of closedThere.values()) {
			const said = closed.get(one.service);
			if (said === undefined) closed.set(one.service, [one]);
			else said.push(one);
		}
	}
	const asTold = told.look(closed);
	return clients.map((client) => {
		const status = client.status();
		const first = [...client.closedThere.values()].filter((one) => closed.get(one.service)?.[0] === one);
		if (first.length === 0) return status;
		const own = first.map((one) => {
			const { sinceMs = one.sinceMs, why = one.why } = asTold.get(one.service) ?? {};
			const others = (closed.get(one.service)?.length ?? 1) - 1;
			return { ...one, sinceMs, why, ...(others === 0 ? {} : { others }) };
		});
		return { ...status, closed: [...(status.closed ?? []), ...own] };
	});
}
