/** An xDS resource, encoded and hashed once, with the names that it refers to. */
import { createHash } from "node:crypto";
import { create, type DescMessage, fromBinary, type Message, toBinary } from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { type Any, AnySchema, anyUnpack, durationMs } from "@bufbuild/protobuf/wkt";
import { type EnvoyResource, parseRouteName, partGateway } from "../../compile/plan/compiledPlan.js";
import type { Cluster } from "../../gen/envoy/config/cluster/v3/cluster_pb.js";
import type { TypedExtensionConfig } from "../../gen/envoy/config/core/v3/extension_pb.js";
import type { LbEndpoint, LocalityLbEndpoints } from "../../gen/envoy/config/endpoint/v3/endpoint_components_pb.js";
import {
	type ClusterLoadAssignment,
	ClusterLoadAssignmentSchema,
} from "../../gen/envoy/config/endpoint/v3/endpoint_pb.js";
import type { Listener } from "../../gen/envoy/config/listener/v3/listener_pb.js";
import {
	type Route,
	type RouteAction,
	VirtualHostSchema,
} from "../../gen/envoy/config/route/v3/route_components_pb.js";
import type { RouteConfiguration } from "../../gen/envoy/config/route/v3/route_pb.js";
import type { JwtProvider } from "../../gen/envoy/extensions/filters/http/jwt_authn/v3/config_pb.js";
import type {
	HttpFilter,
	Rds,
} from "../../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js";
import { TableSchema } from "../../gen/weir/sidecar/v1/table_pb.js";
import { decodeEnvoyResource, registry } from "./registry.js";

/** What Envoys subscribe to, in the order in which it is published (Envoy's docs, "xDS protocol": eventual consistency considerations). */
export const ENVOY_TYPES = ["clusters", "endpoints", "extensions", "listeners", "routes"] as const;
export type EnvoyTypeName = (typeof ENVOY_TYPES)[number];

/** `tables` is Weir's own: sidecars subscribe to it, Envoys never do. */
export const TYPES = [...ENVOY_TYPES, "tables"] as const;
export type TypeName = (typeof TYPES)[number];

export const TYPE_URLS: Readonly<Record<TypeName, string>> = {
	clusters: "type.googleapis.com/envoy.config.cluster.v3.Cluster",
	endpoints: "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
	extensions: "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
	listeners: "type.googleapis.com/envoy.config.listener.v3.Listener",
	routes: "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
	tables: `type.googleapis.com/${TableSchema.typeName}`,
};

/** Types whose resources each belong to one Gateway. */
export const GATEWAY_TYPES = ["extensions", "listeners", "routes"] as const;
export type GatewayTypeName = (typeof GATEWAY_TYPES)[number];

export interface EncodedResource {
	readonly name: string;
	/** Hash of the bytes: equal content has an equal hash in every process. */
	readonly hash: string;
	readonly typeUrl: string;
	readonly bytes: Uint8Array;
	/** The Weir resource that it comes from, e.g. `Service employment`. */
	readonly source: string;
	/** Clusters that its routes name. */
	readonly clusters: readonly string[];
	/** Route configurations that its connection managers get by RDS. */
	readonly routeConfigs: readonly string[];
	/** Filters that its connection managers get by ECDS. */
	readonly extensions: readonly string[];
	/** Request headers that it sets from token claims; routes match on them. */
	readonly claimHeaders: readonly string[];
	/** Name of its endpoints resource (EDS clusters); null = none. */
	readonly endpoints: string | null;
	/** Endpoint addresses with ports, `10.0.0.1:80`. */
	readonly hosts: readonly string[];
	/** Timeout of the cluster's health check; null = no health check. */
	readonly checkTimeoutMs: number | null;
	readonly parts: readonly Part[];
}

/** A named piece inside a resource. Maps an error to the declaration that caused it. */
export interface Part {
	/** As Envoy's error message may name it. */
	readonly name: string;
	readonly source: string;
	/** Hash of a virtual host's bytes without the plan's version; empty for other parts. */
	readonly hash: string;
}

export function encodeResource(type: EnvoyTypeName, resource: EnvoyResource): EncodedResource {
	const { typeUrl, schema, message } = decodeEnvoyResource(resource);
	if (typeUrl !== TYPE_URLS[type]) throw new TypeError(`${typeUrl} among the ${type}`);
	return encoded(type, schema, message, toBinary(schema, message));
}

function encoded(type: EnvoyTypeName, schema: DescMessage, message: Message, bytes: Uint8Array): EncodedResource {
	// Endpoints refer to nothing, and there are many of them.
	const found = type === "endpoints" ? NO_REFERENCES : references(schema, message);
	return {
		...nameOf(type, message),
		...found,
		hash: contentHash(bytes),
		typeUrl: TYPE_URLS[type],
		bytes,
		parts: [...virtualHosts(type, message, found.parts), ...found.parts],
	};
}

const encodedEndpoints = (made: ClusterLoadAssignment): EncodedResource =>
	encoded("endpoints", ClusterLoadAssignmentSchema, made, toBinary(ClusterLoadAssignmentSchema, made));

/** An endpoints resource without endpoints. */
export const emptyEndpoints = (clusterName: string): EncodedResource =>
	encodedEndpoints(create(ClusterLoadAssignmentSchema, { clusterName }));

/** Last merge per published resource: most clients get the same one. */
const merged = new WeakMap<EncodedResource, { readonly key: string; readonly made: EncodedResource }>();

/** Adds some endpoints of `held` to the published ones. @param stays hosts of `held` to keep */
export function withHosts(
	published: EncodedResource,
	held: EncodedResource,
	stays: ReadonlySet<string>,
): EncodedResource {
	if (stays.size === 0) return published;
	const key = [held.hash, ...stays].join(" ");
	const known = merged.get(published);
	if (known?.key === key) return known.made;
	const made = encodedEndpoints(assignmentOf(published, held, stays));
	merged.set(published, { key, made });
	return made;
}

function assignmentOf(
	published: EncodedResource,
	{ bytes }: EncodedResource,
	stays: ReadonlySet<string>,
): ClusterLoadAssignment {
	const assignment = fromBinary(ClusterLoadAssignmentSchema, published.bytes);
	const groups = new Map(assignment.endpoints.map((one) => [localityKey(one), one]));
	for (const one of fromBinary(ClusterLoadAssignmentSchema, bytes).endpoints) {
		const staying = one.lbEndpoints.filter((endpoint) => stays.has(hostOf(endpoint)));
		const group = groups.get(localityKey(one));
		if (group !== undefined) group.lbEndpoints.push(...staying);
		else if (staying.length > 0) assignment.endpoints.push({ ...one, lbEndpoints: staying });
	}
	return assignment;
}

const localityKey = ({ locality }: LocalityLbEndpoints): string =>
	JSON.stringify([locality?.region, locality?.zone, locality?.subZone]);

/** 16 hex digits of a SHA-256: enough that two contents never share one. */
export function contentHash(content: Uint8Array | string): string {
	return createHash("sha256").update(content).digest("hex").slice(0, 16);
}

type Named = Pick<EncodedResource, "name" | "source" | "endpoints" | "hosts" | "checkTimeoutMs">;

function nameOf(type: EnvoyTypeName, message: Message): Named {
	const none = { endpoints: null, hosts: [], checkTimeoutMs: null };
	if (type === "clusters") {
		const { name, clusterDiscoveryType: discovery, edsClusterConfig: eds, ...cluster } = message as Cluster;
		const timeout = cluster.healthChecks[0]?.timeout;
		const byEds = discovery.case === "type" && eds !== undefined;
		return {
			name,
			source: serviceOf(name),
			endpoints: byEds ? eds.serviceName || name : null,
			hosts: hostsOf(cluster.loadAssignment),
			checkTimeoutMs: timeout === undefined ? null : durationMs(timeout),
		};
	}
	if (type === "endpoints") {
		const assignment = message as ClusterLoadAssignment;
		const { clusterName: name } = assignment;
		return { ...none, name, source: serviceOf(name), hosts: hostsOf(assignment) };
	}
	const { name } = message as Listener | RouteConfiguration | TypedExtensionConfig;
	return { ...none, name, source: `Gateway ${gatewayOf(type, name)}` };
}

/** Qualified name of the Gateway that owns a resource. */
export const gatewayOf = (type: GatewayTypeName, name: string): string =>
	type === "listeners" ? name : partGateway(name);

const hostsOf = (assignment: ClusterLoadAssignment | undefined): readonly string[] =>
	(assignment?.endpoints ?? []).flatMap(({ lbEndpoints }) => lbEndpoints.map(hostOf));

/** `address:port`. */
function hostOf({ hostIdentifier: { value: endpoint } }: LbEndpoint): string {
	const socket = endpoint?.address?.address;
	if (socket?.case !== "socketAddress") return "";
	const { address, portSpecifier } = socket.value;
	return `${address}:${portSpecifier.value}`;
}

/** Clusters are named SERVICE/VARIANT, where SERVICE may be NAMESPACE/NAME (compile/plan/compiledPlan.ts). */
function serviceOf(cluster: string): string {
	const slash = cluster.lastIndexOf("/");
	return `Service ${slash === -1 ? cluster : cluster.slice(0, slash)}`;
}

/** @param routes route parts of the same resource; their names contain the plan's version */
function virtualHosts(type: EnvoyTypeName, message: Message, routes: readonly Part[]): readonly Part[] {
	if (type !== "routes") return [];
	const version = routes.map(({ name }) => parseRouteName(name)).find((route) => route !== null)?.version ?? "";
	return (message as RouteConfiguration).virtualHosts.map((host) => {
		const bytes = Buffer.from(toBinary(VirtualHostSchema, host)).toString("latin1");
		return {
			name: host.name,
			source: `Service ${host.name}`,
			hash: contentHash(version === "" ? bytes : bytes.replaceAll(version, "")),
		};
	});
}

type References = Pick<EncodedResource, "clusters" | "routeConfigs" | "extensions" | "claimHeaders" | "parts">;

export const NO_REFERENCES: References = {
	clusters: [],
	routeConfigs: [],
	extensions: [],
	claimHeaders: [],
	parts: [],
};

const CONNECTION_MANAGER = "envoy.extensions.filters.network.http_connection_manager.v3";

/** Finds every name that a resource refers to, also inside matchers and filters. */
function references(schema: DescMessage, message: Message): References {
	const clusters = new Set<string>();
	const routeConfigs = new Set<string>();
	const extensions = new Set<string>();
	const claimHeaders = new Set<string>();
	const parts: Part[] = [];
	visit(reflect(schema, message), (inner) => {
		if (inner.$typeName === "envoy.config.route.v3.RouteAction") {
			const { clusterSpecifier: to } = inner as RouteAction;
			if (to.case === "cluster") clusters.add(to.value);
			if (to.case === "weightedClusters") for (const { name } of to.value.clusters) clusters.add(name);
		} else if (inner.$typeName === "envoy.config.route.v3.Route") {
			const { name } = inner as Route;
			const route = parseRouteName(name);
			if (route === null) return;
			const source = route.experiment === null ? `Service ${route.service}` : `Experiment ${route.experiment}`;
			parts.push({ name, source, hash: "" });
		} else if (inner.$typeName === `${CONNECTION_MANAGER}.Rds`) {
			routeConfigs.add((inner as Rds).routeConfigName);
		} else if (inner.$typeName === `${CONNECTION_MANAGER}.HttpFilter`) {
			const { name, configType } = inner as HttpFilter;
			if (configType.case === "configDiscovery") extensions.add(name);
		} else if (inner.$typeName === "envoy.extensions.filters.http.jwt_authn.v3.JwtProvider") {
			for (const { headerName } of (inner as JwtProvider).claimToHeaders) claimHeaders.add(headerName);
		}
	});
	for (const cluster of clusters) parts.push({ name: cluster, source: serviceOf(cluster), hash: "" });
	return {
		clusters: [...clusters],
		routeConfigs: [...routeConfigs],
		extensions: [...extensions],
		claimHeaders: [...claimHeaders],
		parts,
	};
}

/** Depth first, through Any's; well-known types hold nothing that refers to a resource. */
function visit(message: ReflectMessage, see: (message: Message) => void): void {
	if (message.desc.typeName === AnySchema.typeName) {
		const inner = anyUnpack(message.message as Any, registry);
		const schema = inner === undefined ? undefined : registry.getMessage(inner.$typeName);
		if (inner !== undefined && schema !== undefined) visit(reflect(schema, inner), see);
		return;
	}
	if (message.desc.typeName.startsWith("google.protobuf.")) return;
	see(message.message);
	for (const field of message.fields) {
		if (!message.isSet(field)) continue;
		if (field.fieldKind === "message") visit(message.get(field), see);
		else if (field.fieldKind === "list" && field.listKind === "message") {
			for (const item of message.get(field)) visit(item as ReflectMessage, see);
		} else if (field.fieldKind === "map" && field.mapKind === "message") {
			for (const item of message.get(field).values()) visit(item as ReflectMessage, see);
		}
	}
}
