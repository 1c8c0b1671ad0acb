/**
 * What a plan publishes: one immutable view per type, with a version that is a hash of its content, so that a
 * restart or another server gives the same. A snapshot that would break requests by itself is never made.
 */
import type { EnvoyResources, Plan } from "../compiler/plan.js";
import { WeirError } from "../error.js";
import { RESOURCES_MAX } from "../limits.js";
import { regionsOf } from "../resources/regions.js";
import { Encodings } from "./encodings.js";
import { formerEndpoints } from "./former.js";
import { type LastWords, leftSince, placesIn } from "./placings.js";
import type { Residents } from "./residentFile.js";
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
	/**
	 * Regions in which alone endpoints may stay, by Service; null = anywhere. Of the last ones that went too, since clients may
	 * have their clusters: by the DataClass that each had last, as that is now.
	 */
	readonly bound: ReadonlyMap<string, readonly string[] | null>;
	/** Regions in which endpoints are by now, by address, whoever declares them: a server stands in one place. */
	readonly places: ReadonlyMap<string, readonly string[]>;
	/** Where Services said last that endpoints are which they have no more. */
	readonly left: LastWords;
	/** Endpoints that clusters had last which have DNS names now: see former.ts. */
	readonly former: View;
}

/** What a snapshot is made of; without the rest, nothing is of endpoints. */
type Publishable = Pick<Plan, "envoy" | "table" | "version"> &
	Partial<Pick<Plan, "residents" | "regionRules" | "placings">>;

const NO_RULES: Plan["regionRules"] = { dataClasses: [], referenceGrants: [] };

export class SnapshotMaker {
	#encodings = new Encodings(null);
	#residents: Residents;
	#last: (Pick<Snapshot, "views" | "former" | "left"> & Pick<Plan, "placings">) | null = null;

	/** @param before as `residents` said before this one was */
	constructor(before: Residents = new Map()) {
		this.#residents = before;
	}

	/** Of what was made last, and of Services that went before. */
	get residents(): Residents {
		return this.#residents;
	}

	/** @throws WeirError `failed-precondition` that names everything inconsistent; `internal` for what proto/ lacks. */
	make(
		{ envoy, table, version, residents = new Map(), regionRules = NO_RULES, placings = new Map() }: Publishable,
		revision: number,
	): Snapshot {
		const encodings = new Encodings(this.#encodings);
		const executable = encodeTable({ table, version });
		const views = { ...encodedViews(envoy, version, encodings), tables: new Map([[executable.name, executable]]) };
		const known = withGone(residents, this.#residents);
		const bound = new Map([...known].map(([name, resident]) => [name, regionsOf(regionRules, resident)]));
		const places = placesIn(placings);
		const left = leftSince(this.#last, placings);
		const former = formerEndpoints(this.#last, { views, bound, places, left });
		const made = { revision, bound, places, left, former, ...versioned(views) };
		encodings.close();
		this.#encodings = encodings;
		this.#residents = known;
		this.#last = { views, former, left, placings };
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

/**
 * What nobody knows any more is taken for bound by nothing, and so those that are go last.
 * @param before with those that had gone by then, longest ago first
 */
function withGone(declared: Residents, before: Residents): Residents {
	const gone = [...before].filter(([service]) => !declared.has(service));
	const isBound = ([, { spec }]: (typeof gone)[number]): boolean => spec.dataClass !== null;
	const kept = [...gone.filter((one) => !isBound(one)), ...gone.filter(isBound)].slice(-RESOURCES_MAX);
	return new Map([...kept, ...declared]);
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
		for (const { name } of listener.extensions) {
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
