/**
 * Decides whether a route table may be sent: everything that it names must be acknowledged first (make before break).
 * The wait is limited even while new plans arrive. Otherwise a namespace that changes its routes often would delay
 * all others.
 */
import type { Channel, Response } from "./channel.js";
import { ENVOY_TYPES, type EncodedResource, gatewayOf, type TypeName } from "./resource.js";
import type { Snapshot, View } from "./snapshot.js";

export type Channels = Readonly<Record<TypeName, Channel>>;

/** ready: send. wait: a named resource is not acknowledged yet. blocked: a named resource was rejected. */
type Gate = "ready" | "wait" | "blocked";

export class RouteGates {
	/** Start of the wait, by table name. */
	#waitingSince = new Map<string, number>();
	#nowMs = 0;
	#patienceMs = 0;

	constructor(readonly channels: Channels) {}

	/** Records which tables have to wait. Call it before the other methods. @param patienceMs longest wait */
	note(target: Snapshot, nowMs: number, patienceMs: number): void {
		const waiting = new Map<string, number>();
		for (const table of target.views.routes.values()) {
			if (this.#clusters(table, target) === "wait" || this.#lacksExtensions(table, target)) {
				// Kept after its end until the table is sent. Otherwise a new wait would begin.
				waiting.set(table.name, this.#waitingSince.get(table.name) ?? nowMs);
			}
		}
		this.#waitingSince = waiting;
		this.#nowMs = nowMs;
		this.#patienceMs = patienceMs;
	}

	/** Ends the wait of the tables that were sent. */
	sent({ type, resources }: Response): void {
		if (type === "routes") for (const { name } of resources) this.#waitingSince.delete(name);
	}

	/** End of each wait. */
	get endsMs(): readonly number[] {
		return [...this.#waitingSince.values()].map((since) => since + this.#patienceMs);
	}

	/** A listener waits for what its tables wait for, and for filters in flight. */
	ofListener({ name, routeConfigs }: EncodedResource, target: Snapshot): Gate {
		const gates = routeConfigs.map((table) => this.#of(target.views.routes.get(table), target));
		if (gates.includes("blocked")) return "blocked";
		if (gates.includes("wait")) return "wait";
		const { extensions, listeners } = this.channels;
		return extensions.inFlight === null || listeners.isDue(name) ? "ready" : "wait";
	}

	/** Tables that may be sent now. */
	open(tables: View, target: Snapshot): View {
		const { extensions, listeners, routes } = this.channels;
		return new Map(
			[...tables].filter(([name, table]) => {
				// A new listener subscribes to its table itself. Known tables are sent after the listeners.
				if (listeners.inFlight !== null && !routes.isDue(name)) return false;
				if (this.#of(table, target) !== "ready") return false;
				if (this.#hasWaited(table)) return true;
				return !this.#lacksExtensions(table, target) && (extensions.inFlight === null || routes.isDue(name));
			}),
		);
	}

	/** Sources of tables that are in flight or will be sent. */
	coming(tables: View, target: Snapshot): ReadonlySet<string> {
		const { routes } = this.channels;
		const unsent = [...tables.values()].filter(
			(table) => routes.sentHash(table.name) !== table.hash && this.#of(table, target) !== "blocked",
		);
		return new Set([...unsent, ...(routes.inFlight?.resources ?? [])].map(({ source }) => source));
	}

	get #cameWithState(): boolean {
		return ENVOY_TYPES.some((type) => this.channels[type].cameWithState);
	}

	#of(table: EncodedResource | undefined, target: Snapshot): Gate {
		if (table === undefined) return "ready";
		const gate = this.#clusters(table, target);
		return gate === "wait" && this.#hasWaited(table) ? "ready" : gate;
	}

	#hasWaited({ name }: EncodedResource): boolean {
		const since = this.#waitingSince.get(name);
		return since !== undefined && this.#nowMs >= since + this.#patienceMs;
	}

	#clusters(table: EncodedResource, target: Snapshot): Gate {
		const { clusters, endpoints, listeners } = this.channels;
		// A client that does not subscribe to clusters need not wait for them, except one that subscribes to endpoints or
		// has reconnected: such an Envoy requests clusters only after its current ones are warm.
		if (!clusters.requested)
			return endpoints.requested || (listeners.requested && this.#cameWithState) ? "wait" : "ready";
		let gate: Gate = "ready";
		for (const name of table.clusters) {
			// The client already has this cluster. Changes of it are sent later.
			if (clusters.opaque && endpoints.initialNames.has(name)) continue;
			const accepted = clusters.accepted.get(name);
			const published = target.views.clusters.get(name);
			if (accepted === undefined && published !== undefined && clusters.isRejected(published)) return "blocked";
			const hasEndpoints = accepted?.endpoints == null || endpoints.accepted.has(accepted.endpoints);
			if (accepted === undefined || !hasEndpoints) gate = "wait";
		}
		return gate;
	}

	/** Until a new filter of a Gateway is acknowledged, the client's listener is still the one without it. */
	#lacksExtensions({ name }: EncodedResource, target: Snapshot): boolean {
		const { extensions, listeners } = this.channels;
		const listener = target.views.listeners.get(gatewayOf("routes", name));
		if (!listeners.requested || listener === undefined || listeners.isRejected(listener)) return false;
		return listener.extensions.some((one) => {
			const published = target.views.extensions.get(one);
			return !extensions.accepted.has(one) && (published === undefined || !extensions.isRejected(published));
		});
	}
}
