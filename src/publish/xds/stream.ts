/**
 * One client (an Envoy or a sidecar) on one ADS stream, without I/O: requests and the newest snapshot in, responses
 * out. Make before break: a route table is sent only after the client has
 * acknowledged every cluster that it names and their endpoints. A cluster, or its last endpoint, is removed only when
 * no route table that the client may hold names it. So the order is clusters, endpoints, extensions, listeners,
 * routes, then removals. Tables are independent.
 */
import { Channel, type Request, type Response } from "./channel.js";
import { EndpointDrain, isBound } from "./endpointDrain.js";
import { FilterDelay } from "./filterDelay.js";
import { currentRejections, type Rejection } from "./rejection.js";
import {
	ENVOY_TYPES,
	type EncodedResource,
	type EnvoyTypeName,
	emptyEndpoints,
	TYPES,
	type TypeName,
} from "./resource.js";
import { type Channels, RouteGates } from "./routeGates.js";
import type { Snapshot, View } from "./snapshot.js";

/** How long a restarted xds keeps clusters of its previous process that a client's routes may still name. */
export const XDS_RESTART_WAIT_MS = 2_000;

/** The view of a version that a client names when it reconnects; null = unknown here. */
export type Recall = (type: EnvoyTypeName, version: string) => View | null;

/** State that the client's next stream needs. */
export interface StreamMemory {
	readonly recall: Recall;
	/** Envoy would acknowledge these without reading them. */
	readonly refusedFilters: ReadonlyMap<string, Rejection>;
}

export interface TypeStatus {
	readonly state: "SYNCED" | "NOT SENT" | "STALE" | "ERROR";
	readonly sentVersion: string;
	readonly acceptedVersion: string;
	readonly error: string;
	readonly source: string;
}

export class ClientStream {
	readonly #channels: Channels;
	readonly #gates: RouteGates;
	readonly #drain = new EndpointDrain();
	/** Start of the delay before clusters that are unknown here may be removed from the client; null = no such clusters. */
	#unknownSinceMs: number | null = null;
	readonly #filterDelay = new FilterDelay();
	#before: StreamMemory | null = null;
	#nonces = 0;

	constructor(
		readonly ackTimeoutMs: number,
		/** Recalls published views. */
		readonly recall: Recall = () => null,
	) {
		this.#channels = {
			clusters: new Channel("clusters", true, ackTimeoutMs),
			endpoints: new Channel("endpoints", false, ackTimeoutMs),
			extensions: new Channel("extensions", false, ackTimeoutMs),
			listeners: new Channel("listeners", true, ackTimeoutMs),
			routes: new Channel("routes", false, ackTimeoutMs),
			tables: new Channel("tables", false, ackTimeoutMs),
		};
		this.#gates = new RouteGates(this.#channels);
	}

	get asksForTables(): boolean {
		return this.#channels.tables.requested;
	}

	get memory(): StreamMemory {
		const channels = this.#channels;
		return {
			recall: (type, version) => channels[type].viewOf(version),
			refusedFilters: channels.extensions.rejections,
		};
	}

	/** Call it before the first request. @param before state of the client's previous stream */
	resume(before: StreamMemory): void {
		this.#before = before;
		this.#channels.extensions.rejections = before.refusedFilters;
	}

	/** @returns `nack` if the request rejects the newest response of its type */
	take(request: Request): "ack" | "nack" | "none" {
		const { type } = request;
		const { extensions, listeners } = this.#channels;
		const filters = type === "extensions" ? extensions.inFlight?.resources : undefined;
		const verdict = this.#channels[type].take(request, (version) =>
			type === "tables" ? null : (this.recall(type, version) ?? this.#before?.recall(type, version) ?? null),
		);
		if (verdict === "ack" && filters !== undefined) listeners.retry(filters.map(({ source }) => source));
		return verdict;
	}

	/** Responses that are due. Call it after take(), after a publication, and at deadlineMs(). */
	next(target: Snapshot, nowMs: number): readonly Response[] {
		for (const type of TYPES) this.#channels[type].expire(nowMs);
		if (this.#channels.clusters.opaque) this.#unknownSinceMs ??= nowMs;
		this.#gates.note(target, nowMs, this.ackTimeoutMs);
		this.#drain.note(this.#channels.endpoints.accepted, () => this.#clustersInUse(target), target, nowMs);
		const responses: Response[] = [];
		for (const type of TYPES) {
			const channel = this.#channels[type];
			if (!channel.requested || channel.inFlight !== null) continue;
			const wanted = this.#wanted(type, target, nowMs);
			if (wanted === null) continue;
			const published = this.#published(type, target);
			const before = channel.sentView;
			const response = channel.respond(wanted, published, String(this.#nonces + 1), nowMs);
			if (response === null) continue;
			this.#nonces++;
			if (type === "clusters") this.#askEndpoints(response, before);
			this.#gates.sent(response);
			responses.push(response);
		}
		return responses;
	}

	/** When next() has new responses without any input; null = never. */
	deadlineMs(nowMs: number): number | null {
		const waits = [
			...this.#gates.endsMs,
			...(this.#drain.endsMs === null ? [] : [this.#drain.endsMs]),
			...this.#filterDelay.endsMs,
			...(this.#unknownSinceMs === null ? [] : [this.#unknownSinceMs + XDS_RESTART_WAIT_MS]),
		];
		const deadlines = [
			...TYPES.flatMap((type) => this.#channels[type].deadlineMs ?? []),
			...waits.filter((deadline) => deadline > nowMs),
		];
		return deadlines.length === 0 ? null : Math.min(...deadlines);
	}

	/** The client has acknowledged the whole snapshot for its kind, removals included. */
	synced(target: Snapshot): boolean {
		return this.#servedTypes(target).every(
			(type) => this.#channels[type].settled && this.#holdsAll(type, target) && this.#holdsNoMore(type, target),
		);
	}

	/** The same, but listeners and filters in `refused` may have another content or be missing. */
	syncedBut(target: Snapshot, refused: ReadonlySet<string>): boolean {
		if (refused.size === 0) return this.synced(target);
		const served = (type: "listeners" | "extensions"): View =>
			new Map(
				[...target.views[type]].flatMap(([name, resource]) => {
					const one = refused.has(name) ? this.#channels[type].accepted.get(name) : resource;
					return one === undefined ? [] : [[name, one] as const];
				}),
			);
		const [listeners, extensions] = [served("listeners"), served("extensions")];
		return this.synced({ ...target, views: { ...target.views, listeners, extensions } });
	}

	/** What an Envoy currently rejects of the snapshot. */
	refusals(target: Snapshot): readonly (Rejection & { readonly type: TypeName; readonly name: string })[] {
		return ENVOY_TYPES.flatMap((type) =>
			currentRejections(this.#channels[type].rejections, this.#published(type, target).view).map((one) => ({
				...one,
				type,
			})),
		);
	}

	/** The client held something before this stream. */
	get cameWithState(): boolean {
		return ENVOY_TYPES.some((type) => this.#channels[type].cameWithState);
	}

	/** Status of each type that is for this kind of client. */
	status(target: Snapshot | null): Readonly<Partial<Record<TypeName, TypeStatus>>> {
		const of = (type: TypeName): TypeStatus => {
			const channel = this.#channels[type];
			const { sentVersion, acceptedVersion } = channel;
			const view: View = target === null ? new Map() : this.#published(type, target).view;
			const [rejection] = currentRejections(channel.rejections, view);
			const base = { sentVersion, acceptedVersion, error: rejection?.message ?? "", source: rejection?.source ?? "" };
			if (rejection !== undefined) return { ...base, state: "ERROR" };
			if (sentVersion === "") return { ...base, state: "NOT SENT" };
			const synced =
				target !== null && channel.settled && this.#holdsAll(type, target) && this.#holdsNoMore(type, target);
			return { ...base, state: synced ? "SYNCED" : "STALE" };
		};
		return Object.fromEntries(this.#servedTypes(target).map((type) => [type, of(type)]));
	}

	/**
	 * Types that the client needs. A client that only subscribes to tables is a sidecar. Any other is an Envoy, which
	 * needs all Envoy types even before it subscribes; extensions only if there are any.
	 */
	#servedTypes(target: Snapshot | null): readonly TypeName[] {
		const { tables, extensions } = this.#channels;
		const extended = extensions.requested || (target?.views.extensions.size ?? 0) > 0;
		const ofEnvoys = ENVOY_TYPES.filter((type) => type !== "extensions" || extended);
		if (!tables.requested) return ofEnvoys;
		return ENVOY_TYPES.some((type) => this.#channels[type].requested) ? [...ofEnvoys, "tables"] : ["tables"];
	}

	/**
	 * O2: Envoy finishes warming a changed cluster only after its endpoints are sent again, changed or not. They are
	 * sent at once: Envoy acknowledges the clusters only when they are warm, so waiting for the ACK would be a
	 * deadlock.
	 */
	#askEndpoints({ resources }: Response, before: View): void {
		for (const { name, hash, endpoints } of resources) {
			if (endpoints !== null && before.get(name)?.hash !== hash) this.#channels.endpoints.ask(endpoints);
		}
	}

	/** Resources of a type that the client should hold now; null = send nothing yet. */
	#wanted(type: TypeName, target: Snapshot, nowMs: number): View | null {
		if (type === "clusters") return this.#wantedClusters(target, nowMs);
		if (type === "endpoints") return this.#wantedEndpoints(target);
		if (type === "tables") return this.#subscribed(type, target.views.tables);
		if (type === "extensions") return this.#wantedExtensions(target, nowMs);
		return type === "listeners" ? this.#wantedListeners(target) : this.#wantedRoutes(target);
	}

	#wantedRoutes(target: Snapshot): View {
		return this.#gates.open(this.#subscribed("routes", target.views.routes), target);
	}

	#wantedExtensions(target: Snapshot, nowMs: number): View {
		const coming = () => this.#gates.coming(this.#subscribed("routes", target.views.routes), target);
		const filters = this.#subscribed("extensions", target.views.extensions);
		return this.#filterDelay.ready(filters, this.#channels.extensions.accepted, coming, nowMs);
	}

	#wantedEndpoints(target: Snapshot): View {
		const { instead } = this.#drain;
		const known = new Map([...this.#held("endpoints"), ...target.views.endpoints, ...instead]);
		return this.#subscribed("endpoints", new Map([...this.#withAwaited(known), ...known]));
	}

	/**
	 * Empty endpoints for clusters that are gone or have a DNS name now. An Envoy that still waits for their endpoints
	 * accepts no other cluster before its initial_fetch_timeout. Names that this client was never sent get no answer,
	 * and nothing that it may already hold is removed.
	 */
	#withAwaited(known: View): View {
		const { clusters, endpoints } = this.#channels;
		const held = [clusters.accepted, clusters.sentView];
		const sent = new Set(held.flatMap((view) => [...view.values()].map((cluster) => cluster.endpoints)));
		const isAwaited = (name: string): boolean =>
			endpoints.initialNames.has(name) ? !endpoints.opaque && !held.some((view) => view.has(name)) : sent.has(name);
		const names = [...endpoints.subscription.names].filter((name) => !known.has(name) && isAwaited(name));
		return new Map(names.map((name) => [name, emptyEndpoints(name)]));
	}

	/**
	 * A client of an earlier process may hold clusters that are unknown here, and a response would remove them. So the
	 * response waits until the client should have the new routes, if these name only clusters that it has.
	 */
	#wantedClusters(target: Snapshot, nowMs: number): View | null {
		if (this.#channels.clusters.opaque && nowMs < (this.#unknownSinceMs ?? nowMs) + XDS_RESTART_WAIT_MS) return null;
		const inUse = this.#clustersInUse(target);
		const held = [...this.#held("clusters")].filter(([name, one]) => inUse(name) && !isBound(one, target));
		return this.#subscribed("clusters", new Map([...held, ...target.views.clusters]));
	}

	/** The client may hold unknown routes. */
	get #routesUnknown(): boolean {
		const { clusters, routes } = this.#channels;
		return routes.opaque || (!routes.requested && clusters.cameWithState);
	}

	/** Whether a route table that the client may hold names a cluster. */
	#clustersInUse(target: Snapshot): (name: string) => boolean {
		const { routes } = this.#channels;
		if (this.#routesUnknown && target.views.routes.size > 0) return () => true;
		const tables = [...routes.accepted.values(), ...(routes.inFlight?.resources ?? [])];
		const names = new Set(tables.flatMap((table) => table.clusters));
		return (name) => names.has(name);
	}

	#wantedListeners(target: Snapshot): View | null {
		const { listeners } = this.#channels;
		const wanted = new Map<string, EncodedResource>();
		for (const [name, listener] of this.#subscribed("listeners", target.views.listeners)) {
			const unchanged = listeners.sentHash(name) === listener.hash;
			const gate = unchanged ? "ready" : this.#gates.ofListener(listener, target);
			if (gate === "wait") return null;
			const served = gate === "ready" ? listener : listeners.accepted.get(name);
			if (served !== undefined) wanted.set(name, served);
		}
		return wanted;
	}

	/** Restricts a view to the subscription. The client's last good resource replaces a rejected one. */
	#subscribed(type: TypeName, view: View): View {
		const channel = this.#channels[type];
		const wanted = new Map<string, EncodedResource>();
		for (const [name, resource] of view) {
			if (!channel.subscription.wants(name)) continue;
			if (!channel.isRejected(resource)) wanted.set(name, resource);
			else {
				// A client with unknown state may hold a good one. Leaving it out would delete that.
				const lastGood = channel.accepted.get(name) ?? (channel.cameWithState ? resource : undefined);
				if (channel.full && lastGood !== undefined) wanted.set(name, lastGood);
			}
		}
		return wanted;
	}

	#held(type: TypeName): View {
		const channel = this.#channels[type];
		return new Map([
			...channel.accepted,
			...(channel.inFlight?.resources ?? []).map((held) => [held.name, held] as const),
		]);
	}

	#holdsAll(type: TypeName, target: Snapshot): boolean {
		const channel = this.#channels[type];
		const { view: published } = this.#published(type, target);
		const holds = (name: string): boolean => channel.accepted.get(name)?.hash === published.get(name)?.hash;
		if (type === "clusters" || type === "listeners") {
			const view = target.views[type];
			return (
				view.size === 0 ||
				(channel.requested && [...view.keys()].every((name) => !channel.subscription.wants(name) || holds(name)))
			);
		}
		if (type === "tables") return [...target.views.tables.keys()].every(holds);
		if (type === "endpoints")
			return [...target.views.clusters.values()].flatMap(({ endpoints }) => endpoints ?? []).every(holds);
		return [...target.views.listeners.values()]
			.flatMap(({ routeConfigs, extensions }) => (type === "routes" ? routeConfigs : extensions))
			.every(holds);
	}

	/** Published resources and version for this client. */
	#published(type: TypeName, target: Snapshot): { readonly view: View; readonly version: string } {
		if (type === "endpoints") return this.#drain.published(target);
		return { view: target.views[type], version: target.versions[type] };
	}

	/** Only clusters and listeners are removed by omission. */
	#holdsNoMore(type: TypeName, target: Snapshot): boolean {
		if (type !== "clusters" && type !== "listeners") return true;
		return [...this.#channels[type].accepted.keys()].every((name) => target.views[type].has(name));
	}
}
