/** What an Envoy has of what was published, Gateway by Gateway: each is told alone, and may be refused alone. */
import { parseRouteName } from "../compiler/plan.js";
import type { Channel } from "./channel.js";
import { type EncodedResource, gatewayOf, type TypeName } from "./resource.js";
import type { Snapshot } from "./snapshot.js";

/** Hashes of virtual hosts without the plan's version, by the qualified name of their Service. */
export type Hosts = ReadonlyMap<string, string>;

export interface GatewayServed {
	/** Version of the plan that its routes are of; null = it has none, or of which they are is not known. */
	readonly plan: string | null;
	readonly hosts: Hosts;
	/** Of routes that it was sent and has not answered; null = there are none. */
	readonly coming: Hosts | null;
	/** Hash of its listener; null = it has none. */
	readonly listener: string | null;
	/** It was sent another listener, or none, and has not answered. */
	readonly moving: boolean;
	/** Its listener is the one that is published last, and it has answered. */
	readonly current: boolean;
	/** It refuses that one. */
	readonly refused: boolean;
}

/** By qualified name. */
export type Served = ReadonlyMap<string, GatewayServed>;

/** @param isNewest whether `target` is of what was published last */
export function servedGateways(
	{ listeners, routes }: Readonly<Record<TypeName, Channel>>,
	target: Snapshot,
	isNewest: boolean,
): Served {
	const accepted = byGateway([...routes.accepted.values()]);
	const coming = byGateway(routes.inFlight?.resources ?? []);
	const sent = listeners.inFlight?.resources ?? null;
	const names = new Set([...listeners.accepted.keys(), ...target.views.listeners.keys()]);
	return new Map(
		[...names].map((name) => {
			const published = target.views.listeners.get(name);
			const listener = listeners.accepted.get(name)?.hash ?? null;
			const moving = sent !== null && (sent.find((one) => one.name === name)?.hash ?? null) !== listener;
			const [has, comes] = [accepted.get(name), coming.get(name)];
			return [
				name,
				{
					plan: has === undefined ? null : planOf(has, target),
					hosts: has === undefined ? NO_HOSTS : hostsOf(has),
					coming: comes === undefined ? null : hostsOf(comes),
					listener,
					moving,
					current: isNewest && !moving && listener === (published?.hash ?? null),
					refused: published !== undefined && listeners.isRejected(published),
				},
			];
		}),
	);
}

const NO_HOSTS: Hosts = new Map();

const byGateway = (tables: readonly EncodedResource[]): ReadonlyMap<string, EncodedResource> =>
	new Map(tables.map((table) => [gatewayOf("routes", table.name), table]));

function planOf(table: EncodedResource, { views, versions }: Snapshot): string | null {
	for (const { name } of table.parts) {
		const route = parseRouteName(name);
		if (route !== null) return route.version;
	}
	// Where all Services are closed no route says it.
	return views.routes.get(table.name)?.hash === table.hash ? versions.tables : null;
}

const known = new WeakMap<EncodedResource, Hosts>();

function hostsOf(table: EncodedResource): Hosts {
	const before = known.get(table);
	if (before !== undefined) return before;
	const hosts = new Map(
		table.parts.flatMap(({ name, source, hash }) =>
			hash !== "" && source === `Service ${name}` ? [[name, hash] as const] : [],
		),
	);
	known.set(table, hosts);
	return hosts;
}
