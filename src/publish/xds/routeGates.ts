/**
 * Whether a route table may go to a client yet: what it names must be there before (make before break). Waiting has an end,
 * whatever is published meanwhile: a table that one namespace changes again and again would never be sent otherwise, nor what
 * others changed in it.
 */
import type { Channel, Response } from "./channel.js";
import { ENVOY_TYPES, type EncodedResource, gatewayOf, type TypeName } from "./resource.js";
import type { Snapshot, View } from "./snapshot.js";

export type Channels = Readonly<Record<TypeName, Channel>>;

/** ready: send. wait: what it names is on its way. blocked: what it names was rejected. */
type Gate = "ready" | "wait" | "blocked";

export class RouteGates {
	/** By the table's name. */
	#waitingSince = new Map<string, number>();
	#nowMs = 0;
	#patienceMs = 0;

	constructor(readonly channels: Channels) {}

	/**
	 * Remembers since when tables have to wait. Call it before what follows.
	 * @param patienceMs how long one waits for what it names
	 */
	note(target: Snapshot, nowMs: number, patienceMs: number): void {
		const waiting = new Map<string, number>();
		for (const table of target.views.routes.values()) {
			if (this.#clusters(table, target) === "wait" || this.#lacksExtensions(table, target)) {
				// Kept beyond its end too, until it is sent: or the waiting would begin again.
				waiting.set(table.name, this.#waitingSince.get(table.name) ?? nowMs);
			}
		}
		this.#waitingSince = waiting;
		this.#nowMs = nowMs;
		this.#patienceMs = patienceMs;
	}

	/** They wait no more. */
	sent({ type, resources }: Response): void {
		if (type === "routes") for (const { name } of resources) this.#waitingSince.delete(name);
	}

	/** Until when each waits. */
	get endsMs(): readonly number[] {
		return [...this.#waitingSince.values()].map((since) => since + this.#patienceMs);
	}

	/**
	 * A listener waits for what its tables wait for, and for filters that are on their way.
	 */
	ofListener({ name, routeConfigs }: EncodedResource, target: Snapshot): Gate {
		const gates = routeConfigs.map((table) => this.#of(target.views.routes.get(table), target));
		if (gates.includes("blocked")) return "blocked";
		if (gates.includes("wait")) return "wait";
		const { extensions, listeners } = this.channels;
		return extensions.inFlight === null || listeners.isAsked(name) ? "ready" : "wait";
	}

	/** Those of the tables that may be sent now. */
	open(tables: View, target: Snapshot): View {
		const { extensions, listeners, routes } = this.channels;
		return new Map(
			[...tables].filter(([name, table]) => {
				// A new listener asks for its table by itself; known tables come after the listeners.
				if (listeners.inFlight !== null && !routes.isAsked(name)) return false;
				if (this.#of(table, target) !== "ready") return false;
				if (this.#hasWaited(table)) return true;
				return !this.#lacksExtensions(table, target) && (extensions.inFlight === null || routes.isAsked(name));
			}),
		);
	}

	/** Sources of those of the tables that are on their way, or soon will be. */
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
		// A client that takes no clusters from here has none to wait for. One that asks for endpoints does, or that comes back: an
		// Envoy whose stream broke asks for clusters only when those that it has got are warm, and for endpoints at any time.
		if (!clusters.requested)
			return endpoints.requested || (listeners.requested && this.#cameWithState) ? "wait" : "ready";
		let gate: Gate = "ready";
		for (const name of table.clusters) {
			// It came with it: what else of it is published goes out later.
			if (clusters.opaque && endpoints.brought.has(name)) continue;
			const accepted = clusters.accepted.get(name);
			const published = target.views.clusters.get(name);
			if (accepted === undefined && published !== undefined && clusters.isRejected(published)) return "blocked";
			const hasEndpoints = accepted?.endpoints == null || endpoints.accepted.has(accepted.endpoints);
			if (accepted === undefined || !hasEndpoints) gate = "wait";
		}
		return gate;
	}

	/** A filter that comes to a Gateway is on its way: until it is there, its listener is the one before, which lacks it. */
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
