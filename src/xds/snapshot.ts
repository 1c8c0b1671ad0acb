/**
 * What a plan publishes: one immutable view per type, with a version that is a hash of its content, so that a
 * restart or another server gives the same. A snapshot that would break requests by itself is never made.
 */
import type { EnvoyResource, Plan } from "../compiler/plan.js";
import { WeirError } from "../error.js";
import {
	contentHash,
	ENVOY_TYPES,
	type EncodedResource,
	type EnvoyTypeName,
	encodeResource,
	TYPES,
	type TypeName,
} from "./resource.js";
import { encodeTable } from "./table.js";

/** The parts of a plan that are published: to Envoys, and to sidecars. */
export type Published = Pick<Plan, "envoy" | "table" | "version">;

/** Resources of one type by name. */
export type View = ReadonlyMap<string, EncodedResource>;

export interface Snapshot {
	/** The state's revision that the plan was compiled from. */
	readonly revision: number;
	readonly views: Readonly<Record<TypeName, View>>;
	readonly versions: Readonly<Record<TypeName, string>>;
}

/** Encoding is the expensive part; resources that did not change are taken over from the snapshot before. */
export class SnapshotMaker {
	#encoded = new Map<string, EncodedResource>();

	/** @throws WeirError `failed-precondition` that names everything inconsistent; `internal` for what proto/ lacks. */
	make({ envoy, table, version }: Published, revision: number): Snapshot {
		const encoded = new Map<string, EncodedResource>();
		const view = (type: EnvoyTypeName): View => {
			const resources = new Map<string, EncodedResource>();
			for (const json of envoy[type]) {
				const resource = this.#encode(type, json, encoded);
				if (resources.has(resource.name)) throw inconsistent([`two ${type} named ${resource.name}`]);
				resources.set(resource.name, resource);
			}
			return resources;
		};
		const executable = encodeTable({ table, version });
		const views = {
			...(Object.fromEntries(ENVOY_TYPES.map((type) => [type, view(type)])) as Record<EnvoyTypeName, View>),
			tables: new Map([[executable.name, executable]]),
		};
		const problems = dangling(views);
		if (problems.length > 0) throw inconsistent(problems);
		this.#encoded = encoded;
		const versions = Object.fromEntries(TYPES.map((type) => [type, viewVersion(views[type])])) as Record<
			TypeName,
			string
		>;
		// One resource, whose version says it all: proxy-status shows the plan's.
		return { revision, views, versions: { ...versions, tables: version } };
	}

	#encode(type: EnvoyTypeName, json: EnvoyResource, encoded: Map<string, EncodedResource>): EncodedResource {
		const key = JSON.stringify(json);
		const resource = this.#encoded.get(key) ?? encodeResource(type, json);
		encoded.set(key, resource);
		return resource;
	}
}

/**
 * What an Envoy of certain Gateways should have: their listeners and routes and no others. Clusters stay, for every
 * Service is reachable through every Gateway.
 */
export class GatewayViews {
	/** Of the newest publication; made anew with it. */
	#of: Snapshot | null = null;
	#made = new Map<string, Snapshot>();

	/** @param gateways qualified names; null = all */
	of(target: Snapshot, gateways: readonly string[] | null): Snapshot {
		if (gateways === null) return target;
		if (this.#of !== target) this.#made.clear();
		this.#of = target;
		const key = JSON.stringify([...gateways].sort());
		const made = this.#made.get(key) ?? restricted(target, new Set(gateways));
		this.#made.set(key, made);
		return made;
	}
}

function restricted({ revision, views, versions }: Snapshot, gateways: ReadonlySet<string>): Snapshot {
	const listeners = new Map([...views.listeners].filter(([name]) => gateways.has(name)));
	const routes = new Map([...views.routes].filter(([name]) => gateways.has(name.replace(/^weir\//, ""))));
	return {
		revision,
		views: { ...views, listeners, routes },
		versions: { ...versions, listeners: viewVersion(listeners), routes: viewVersion(routes) },
	};
}

/** Of names and contents; the order in which resources were declared does not matter. */
export function viewVersion(view: View): string {
	const lines = [...view.values()].map(({ name, hash }) => `${name}\n${hash}\n`).sort();
	return contentHash(lines.join(""));
}

/** Names that lead nowhere. */
function dangling({ clusters, endpoints, listeners, routes }: Snapshot["views"]): readonly string[] {
	const problems: string[] = [];
	for (const cluster of clusters.values()) {
		if (cluster.endpoints !== null && !endpoints.has(cluster.endpoints)) {
			problems.push(`cluster ${cluster.name} has no endpoints resource ${cluster.endpoints}`);
		}
	}
	for (const listener of listeners.values()) {
		for (const name of listener.routeConfigs) {
			if (!routes.has(name))
				problems.push(`listener ${listener.name} names route configuration ${name}, which does not exist`);
		}
	}
	for (const config of routes.values()) {
		for (const name of config.clusters) {
			if (!clusters.has(name))
				problems.push(`route configuration ${config.name} names cluster ${name}, which does not exist`);
		}
	}
	return problems;
}

const inconsistent = (problems: readonly string[]): WeirError =>
	new WeirError("failed-precondition", `the plan is inconsistent: ${problems.join("; ")}`, "nothing was published");
