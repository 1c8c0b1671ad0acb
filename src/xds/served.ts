/** What an Envoy has of what was published, Gateway by Gateway: each is told alone, and may be refused alone. */
import { parseRouteName } from "../compiler/plan.js";
import type { Channel } from "./channel.js";
import { type EncodedResource, gatewayOf, type TypeName } from "./resource.js";
import type { Snapshot } from "./snapshot.js";

export interface GatewayServed {
	/** Version of the plan that its routes are of; null = it has none, or of which they are is not known. */
	readonly plan: string | null;
	/** Of routes that it was sent and has not answered; empty = that is not known; null = there are none. */
	readonly coming: string | null;
	/** Its listener is the one that is published last. */
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
	const planOf = (resource: EncodedResource): string | null =>
		// Where all Services are closed no route says it.
		planNamed(resource) ??
		(target.views.routes.get(resource.name)?.hash === resource.hash ? target.versions.tables : null);
	const plans = new Map([...routes.accepted.values()].map((one) => [gatewayOf("routes", one.name), planOf(one)]));
	const coming = new Map(
		(routes.inFlight?.resources ?? []).map((one) => [gatewayOf("routes", one.name), planOf(one) ?? ""]),
	);
	const names = new Set([...listeners.accepted.keys(), ...target.views.listeners.keys()]);
	return new Map(
		[...names].map((name) => {
			const published = target.views.listeners.get(name);
			const accepted = listeners.accepted.get(name)?.hash;
			return [
				name,
				{
					plan: plans.get(name) ?? null,
					coming: coming.get(name) ?? null,
					current: isNewest && listeners.inFlight === null && accepted === published?.hash,
					refused: published !== undefined && listeners.isRejected(published),
				},
			];
		}),
	);
}

function planNamed({ parts }: EncodedResource): string | null {
	for (const { name } of parts) {
		const route = parseRouteName(name);
		if (route !== null) return route.version;
	}
	return null;
}
