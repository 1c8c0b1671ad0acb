/**
 * What a plan publishes: one immutable view per type, with a version that is a hash of its content, so that a
 * restart or another server gives the same. A snapshot that would break requests by itself is never made.
 */
import type { EnvoyResources, Plan } from "../../compile/table/plan.js";
import { WeirError } from "../../error.js";
import { RESOURCES_MAX } from "../../limits/index.js";
import { Encodings } from "./encodings.js";
import {
	contentHash,
	ENVOY_TYPES,
	type EncodedResource,
	type EnvoyTypeName,
	GATEWAY_TYPES,
	gatewayOf,
	TYPES,
	type TypeName,
} from "./resource.js";
import { encodeTable } from "./table.js";

/** Resources of one type by name. */
export type View = ReadonlyMap<string, EncodedResource>;

export interface Snapshot {
	/** The state's revision that the plan was compiled from. */
	readonly revision: number;
	readonly views: Readonly<Record<TypeName, View>>;
	readonly versions: Readonly<Record<TypeName, string>>;
	/** Titles of Services with a DataClass (`Service NAME`), deleted ones too: clients may still have their endpoints. */
	readonly bound: ReadonlySet<string>;
}

/** What a snapshot is made of. */
type Publishable = Pick<Plan, "envoy" | "table" | "version"> & Partial<Pick<Plan, "bound">>;

export class SnapshotMaker {
	#encodings = new Encodings(null);
	#bound: ReadonlySet<string> = new Set();

	/** @throws WeirError `failed-precondition` that names everything inconsistent; `internal` for what proto/ lacks. */
	make({ envoy, table, version, bound = new Map() }: Publishable, revision: number): Snapshot {
		const encodings = new Encodings(this.#encodings);
		const executable = encodeTable({ table, version });
		const views = { ...encodedViews(envoy, version, encodings), tables: new Map([[executable.name, executable]]) };
		const made = { revision, bound: boundSince(this.#bound, bound), ...versioned(views) };
		encodings.close();
		this.#encodings = encodings;
		this.#bound = made.bound;
		// One resource, whose version says it all: proxy-status shows the plan's.
		return { ...made, versions: { ...made.versions, tables: version } };
	}

	/** Other Envoy resources for the same table. @throws as make does. */
	variant({ views, versions, ...rest }: Snapshot, envoy: EnvoyResources): Snapshot {
		const { tables: version } = versions;
		const made = versioned({ ...encodedViews(envoy, version, this.#encodings), tables: views.tables });
		return { ...rest, ...made, versions: { ...made.versions, tables: version } };
	}
}

/** @param before with Services that are deleted by now, the longest ago first */
function boundSince(before: ReadonlySet<string>, declared: Plan["bound"]): ReadonlySet<string> {
	const deleted = [...before].filter((title) => !declared.has(title.replace(/^Service /, "")));
	const bound = [...declared].flatMap(([name, isBound]) => (isBound ? [`Service ${name}`] : []));
	return new Set([...deleted, ...bound].slice(-RESOURCES_MAX));
}

function encodedViews(envoy: EnvoyResources, version: string, encodings: Encodings): Record<EnvoyTypeName, View> {
	const view = (type: EnvoyTypeName): View => {
		const resources = new Map<string, EncodedResource>();
		for (const json of envoy[type]) {
			const resource = encodings.encode(type, json, version);
			if (resources.has(resource.name)) throw inconsistent([`two ${type} named ${resource.name}`]);
			resources.set(resource.name, resource);
		}
		return resources;
	};
	return Object.fromEntries(ENVOY_TYPES.map((type) => [type, view(type)])) as Record<EnvoyTypeName, View>;
}

/**
 * What an Envoy of certain Gateways should have: their listeners and what is of them, and no others. Clusters stay, for every
 * Service is reachable through every Gateway.
 */
export class GatewayViews {
	/** As long as what they were made of. */
	readonly #made = new WeakMap<Snapshot, Map<string, Snapshot>>();

	/** @param gateways qualified names; null = all */
	of(target: Snapshot, gateways: readonly string[] | null): Snapshot {
		if (gateways === null) return target;
		const views = this.#made.get(target) ?? new Map<string, Snapshot>();
		this.#made.set(target, views);
		const key = JSON.stringify([...gateways].sort());
		const made = views.get(key) ?? restricted(target, new Set(gateways));
		views.set(key, made);
		return made;
	}
}

/** @throws WeirError `failed-precondition` where a name leads nowhere */
function versioned(views: Snapshot["views"]): Pick<Snapshot, "views" | "versions"> {
	const problems = dangling(views);
	if (problems.length > 0) throw inconsistent(problems);
	const versions = Object.fromEntries(TYPES.map((type) => [type, viewVersion(views[type])]));
	return { views, versions: versions as Record<TypeName, string> };
}

function restricted({ views, versions, ...rest }: Snapshot, gateways: ReadonlySet<string>): Snapshot {
	const own = GATEWAY_TYPES.map((type) => {
		const view: View = new Map([...views[type]].filter(([name]) => gateways.has(gatewayOf(type, name))));
		return { views: [type, view], versions: [type, viewVersion(view)] } as const;
	});
	return {
		...rest,
		views: { ...views, ...Object.fromEntries(own.map((one) => one.views)) },
		versions: { ...versions, ...Object.fromEntries(own.map((one) => one.versions)) },
	};
}

/** Of names and contents; the order in which resources were declared does not matter. */
export function viewVersion(view: View): string {
	const lines = [...view.values()].map(({ name, hash }) => `${name}\n${hash}\n`).sort();
	return contentHash(lines.join(""));
}

/** Names that lead nowhere. */
function dangling({ clusters, endpoints, extensions, listeners, routes }: Snapshot["views"]): readonly string[] {
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
		for (const name of listener.extensions) {
			if (!extensions.has(name))
				problems.push(`listener ${listener.name} names filter ${name}, whose configuration does not exist`);
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
