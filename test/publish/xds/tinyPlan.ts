/** A hand-written plan: one gateway, services with variants on given ports. */
import { contentHash } from "../../../src/compile/assignment/hash.js";
import { discovered, type Extension, extensionResource } from "../../../src/compile/envoy/extension.js";
import type { EnvoyResource, EnvoyResources, PlanTable } from "../../../src/compile/plan/compiledPlan.js";
import type { Published } from "../../../src/publish/xds/publication.js";

export interface TinyService {
	readonly host: string;
	/** Variant name to its upstream's port on 127.0.0.1. */
	readonly variants: Readonly<Record<string, number>>;
	/** Variant name to weight. */
	readonly weights: Readonly<Record<string, number>>;
	/** Any request header matcher regex on the route, to make a table that Envoy refuses. */
	readonly regex?: string;
	readonly connectTimeout?: string;
	readonly unknownExtension?: boolean;
}

export interface TinyPlan {
	readonly gatewayPort: number;
	readonly services: Readonly<Record<string, TinyService>>;
	/** Headers that a filter of the listener, FILTER, makes of claims; left out = there is none. */
	readonly claimHeaders?: readonly string[];
}

export const FILTER = "weir.tokens/edge";

export function tinyPlan({ gatewayPort, services, claimHeaders }: TinyPlan): EnvoyResources {
	const filters = claimHeaders === undefined ? [] : [tokens(claimHeaders)];
	const variants = Object.entries(services).flatMap(([service, declared]) =>
		Object.entries(declared.variants).map(([variant, port]) => ({ name: `${service}/${variant}`, port, declared })),
	);
	return {
		clusters: variants.map(({ name, declared }) => cluster(name, declared)),
		endpoints: variants.map(({ name, port }) => endpoints(name, port)),
		extensions: filters.map(extensionResource),
		listeners: [listener(gatewayPort, filters.map(discovered))],
		routes: [routes(services)],
	};
}

/** With a table that does not match the Envoy resources; the test does not check it. */
export const published = (envoy: EnvoyResources, table: PlanTable = { gateways: [], services: [] }): Published => ({
	envoy,
	table,
	version: contentHash(JSON.stringify(table)),
});

function cluster(name: string, { connectTimeout, unknownExtension }: TinyService): EnvoyResource {
	return {
		"@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
		name,
		type: "EDS",
		eds_cluster_config: { eds_config: { ads: {}, resource_api_version: "V3" } },
		connect_timeout: connectTimeout ?? "1s",
		...(unknownExtension ? { transport_socket: { name: "no.such.socket" } } : {}),
	};
}

/** @param port 0 = no endpoint */
const endpoints = (name: string, port: number): EnvoyResource => ({
	"@type": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
	cluster_name: name,
	endpoints:
		port === 0
			? []
			: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: "127.0.0.1", port_value: port } } } }] }],
});

function tokens(claimHeaders: readonly string[]): Extension {
	const type = { "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication" };
	const claim_to_headers = claimHeaders.map((header_name) => ({ header_name, claim_name: "sub" }));
	return { name: FILTER, config: { ...type, providers: { issuer: { claim_to_headers } } }, fallback: type };
}

const listener = (port: number, filters: readonly object[]): EnvoyResource => ({
	"@type": "type.googleapis.com/envoy.config.listener.v3.Listener",
	name: "edge",
	address: { socket_address: { address: "127.0.0.1", port_value: port } },
	filter_chains: [
		{
			filters: [
				{
					name: "envoy.filters.network.http_connection_manager",
					typed_config: {
						"@type":
							"type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
						stat_prefix: "edge",
						rds: { route_config_name: "weir/edge", config_source: { ads: {}, resource_api_version: "V3" } },
						http_filters: [
							...filters,
							{
								name: "envoy.filters.http.router",
								typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
							},
						],
					},
				},
			],
		},
	],
});

const routes = (services: TinyPlan["services"]): EnvoyResource => ({
	"@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
	name: "weir/edge",
	virtual_hosts: Object.entries(services).map(([service, { host, weights, regex }]) => ({
		name: service,
		domains: [host],
		routes: [
			{
				match: {
					prefix: "/",
					...(regex === undefined ? {} : { headers: [{ name: "x", string_match: { safe_regex: { regex } } }] }),
				},
				route: {
					weighted_clusters: {
						clusters: Object.entries(weights).map(([variant, weight]) => ({ name: `${service}/${variant}`, weight })),
					},
				},
			},
		],
	})),
});
