/**
 * The resources of a published plan: one immutable view per type. The version is a hash of the content, so it is the
 * same after a restart and on other servers. An inconsistent snapshot is never published.
 */

import type { CompiledPlan, EnvoyResources } from "../../compile/plan/compiledPlan.js";
import { WeirError } from "../../error.js";
import { RESOURCES_MAX } from "../../limits/index.js";
import { finish, type Steps } from "../../limits/slices.js";
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
	/** Revision of the state that the plan was compiled from. */
	readonly revision: number;
	readonly views: Readonly<Record<TypeName, View>>;
	readonly versions: Readonly<Record<TypeName, string>>;
	/**
	 * Titles (`Service NAME`) of Services with a DataClass, also of deleted ones: clients may still hold their
	 * endpoints.
	 */
	readonly bound: ReadonlySet<string>;
}

/** Input of a snapshot. */
type Publishable = Pick<CompiledPlan, "envoy" | "table" | "version"> & Partial<Pick<CompiledPlan, "bound">>;

export class SnapshotMaker {
	#encodings = new Encodings(null);
	#bound: ReadonlySet<string> = new Set();

	/** All steps at once. */
	make(plan: Publishable, revision: number): Snapshot {
		return finish(this.steps(plan, revision));
	}

	/**
	 * Makes one snapshot at a time.
	 * @throws WeirError `failed-precondition` that lists every inconsistency; `internal` for anything missing in proto/
	 */
	*steps({ envoy, table, version, bound = new Map() }: Publishable, revision: number): Steps<Snapshot> {
		const encodings = new Encodings(this.#encodings);
		const executable = encodeTable({ table, version });
		const encoded = yield* encodedViews(envoy, version, encodings);
		const views = { ...encoded, tables: new Map([[executable.name, executable]]) };
		const made = { revision, bound: boundSince(this.#bound, bound), ...versioned(views) };
		encodings.close();
		this.#encodings = encodings;
		this.#bound = made.bound;
		// It has one resource. The version that proxy-status shows is the plan's.
		return { ...made, versions: { ...made.versions, tables: version } };
	}

	/** Other Envoy resources with the same table. @throws like make */
	variant({ views, versions, ...rest }: Snapshot, envoy: EnvoyResources): Snapshot {
		const { tables: version } = versions;
		const encoded = finish(encodedViews(envoy, version, this.#encodings));
		const made = versioned({ ...encoded, tables: views.tables });
		return { ...rest, ...made, versions: { ...made.versions, tables: version } };
	}
}

/** @param before includes deleted Services, oldest first */
function boundSince(before: ReadonlySet<string>, declared: CompiledPlan["bound"]): ReadonlySet<string> {
	const deleted = [...before].filter((title) => !declared.has(title.replace(/^Service /, "")));
	const bound = [...declared].flatMap(([name, isBound]) => (isBound ? [`Service ${name}`] : []));
	return new Set([...deleted, ...bound].slice(-RESOURCES_MAX));
}

function* encodedViews(
	envoy: EnvoyResources,
	version: string,
	encodings: Encodings,
): Steps<Record<EnvoyTypeName, View>> {
	const views: Partial<Record<EnvoyTypeName, View>> = {};
	for (const type of ENVOY_TYPES) {
		const resources = new Map<string, EncodedResource>();
		for (const json of envoy[type]) {
			const resource = yield* encodings.encode(type, json, version);
			if (resources.has(resource.name)) throw inconsistent([`two ${type} named ${resource.name}`]);
			resources.set(resource.name, resource);
		}
		views[type] = resources;
	}
	return views as Record<EnvoyTypeName, View>;
}

/**
 * Restricts a snapshot to some Gateways: their listeners, routes and filters. Clusters stay, because every Service is
 * reachable through every Gateway.
 */
export class GatewayViews {
	/** Cached while the original snapshot is in use. */
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

/** @throws WeirError `failed-precondition` if a name refers to nothing */
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

/** A hash of names and contents. The order of declaration does not matter. */
export function viewVersion(view: View): string {
	const lines = [...view.values()].map(({ name, hash }) => `${name}\n${hash}\n`).sort();
	return contentHash(lines.join(""));
}

/** References to resources that do not exist. */
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
