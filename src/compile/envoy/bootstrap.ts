/**
 * Complete Envoy bootstraps in proto3 JSON. static: contains the whole Plan and runs without control. dynamic: gets
 * everything from control by ADS on a UNIX socket.
 */
import type { Collectors, EnvoyResource, EnvoyResources } from "../plan/compiledPlan.js";
import { SIDECAR_CLUSTER, SIDECAR_STREAMS_CLUSTER } from "./calloutFilters.js";
import { protoDuration } from "./duration.js";
import { INSTANCE_KEY } from "./envoyInstance.js";
import { IDENTITY_CLUSTER, upstreamIdentity } from "./identityTls.js";
import { ACCESS_LOG_CLUSTER, TRACES_CLUSTER } from "./listener.js";

/**
 * RE2 instructions of one regular expression; Envoy's default of 100 rejects a path template of 110 letters. The longest
 * template has 512 variables of 10 instructions each (1.36.2; 1.40.0: 4).
 */
const RE2_PROGRAM_MAX = 8_192;

/**
 * Pending ext_authz calls of one Envoy; it answers 503 to more. A call takes 150 µs of a core, so more would exceed the
 * timeout of 200 ms.
 */
export const CALLOUT_WAITING_MAX = 512;

/**
 * Open ext_proc streams of one Envoy. With exposeArm or cookies a stream stays open until the upstream answers and costs
 * 7.3 KiB in the sidecar (measured with 5,000), so 120 MiB in all. Enough for 3,200 requests a second to an upstream
 * that takes 5 s.
 */
export const CALLOUT_PROCESS_STREAMS_MAX = 16_384;

/**
 * Client connections to one Envoy, all listeners together. It closes more at once, so that a flood cannot take all
 * memory and descriptors.
 */
export const GATEWAY_CONNECTIONS_MAX = 50_000;

/** Log entries that Envoy buffers per worker while its socket is full: a burst of its event loop, at 60 KiB an entry. */
export const ACCESS_LOG_UNSENT_BYTES = 16 * 1024 * 1024;

/** How often the remote Envoy sends a PING, and how long it waits for the answer. */
const ENVOY_ASKS_MS = 10_000;

/** Connect timeout of a remote Envoy to the access log. Entries that it has written to that connection are then lost. */
const ACCESS_LOG_CONNECT_MS = 5_000;

export const ADS_CLUSTER = "weir_ads";

export interface BootstrapOptions {
	readonly collectors: Collectors;
	/** UNIX socket of Envoy's admin interface; null = none. Never TCP, because it can stop the process. */
	readonly adminSocket: string | null;
	readonly nodeId: string;
	/** Id of this process of the node; left out = none. */
	readonly instance?: string;
	/** UNIX socket of the sidecar; null or left out = no filter calls it. */
	readonly sidecarSocket?: string | null;
	/** UNIX socket of the SPIFFE agent (`weir ca` or SPIRE) that serves this Envoy's SVID by SDS. */
	readonly identitySocket?: string | null;
	/** Addresses of control on other machines, instead of the collectors' UNIX sockets. */
	readonly remote?: { readonly accessLog?: RemoteListener; readonly traces?: RemoteListener };
}

/** A listener of control on another machine: mTLS with our SVID, and the peer must have exactly this SPIFFE id. */
export interface RemoteListener {
	readonly address: string;
	readonly port: number;
	readonly spiffeId: string;
}

/** @returns bootstrap JSON that `envoy --mode validate` accepts */
export function staticBootstrap(resources: EnvoyResources, options: BootstrapOptions): object {
	const assignments = new Map(resources.endpoints.map((endpoints) => [endpoints.cluster_name, withoutType(endpoints)]));
	const routes = new Map(resources.routes.map((config) => [config.name, withoutType(config)]));
	const extensions = new Map(resources.extensions.map(({ name, typed_config }) => [name, typed_config]));
	const clusters = resources.clusters.map((cluster) => {
		const { eds_cluster_config: _, ...rest } = withoutType(cluster);
		return cluster.type === "EDS" ? { ...rest, type: "STATIC", load_assignment: assignments.get(cluster.name) } : rest;
	});
	return {
		...common(options),
		static_resources: {
			listeners: resources.listeners.map((listener) => inlined(withoutType(listener), { routes, extensions })),
			clusters: [...clusters, ...ownClusters(options)],
		},
	};
}

/** @param ads UNIX socket of control's xDS server, or its address on another machine */
export function dynamicBootstrap(ads: string | RemoteListener, options: BootstrapOptions): object {
	return {
		...common(options),
		cluster_manager: {
			load_stats_config: {
				api_type: "GRPC",
				transport_api_version: "V3",
				grpc_services: [{ envoy_grpc: { cluster_name: ADS_CLUSTER } }],
			},
		},
		dynamic_resources: {
			ads_config: {
				api_type: "GRPC",
				transport_api_version: "V3",
				grpc_services: [{ envoy_grpc: { cluster_name: ADS_CLUSTER } }],
				set_node_on_first_message_only: true,
			},
			cds_config: { ads: {}, resource_api_version: "V3" },
			lds_config: { ads: {}, resource_api_version: "V3" },
		},
		static_resources: { clusters: [controlCluster(ADS_CLUSTER, ads), ...ownClusters(options)] },
	};
}

function common({ nodeId, instance, adminSocket }: BootstrapOptions): object {
	const metadata = instance === undefined ? {} : { metadata: { [INSTANCE_KEY]: instance } };
	return {
		node: { id: nodeId, cluster: "weir", ...metadata },
		typed_dns_resolver_config: RESOLVER,
		...(adminSocket === null
			? {}
			: { admin: { address: { pipe: { path: adminSocket, mode: 0o600 } }, ignore_global_conn_limit: true } }),
		overload_manager: {
			resource_monitors: [
				{
					name: "envoy.resource_monitors.global_downstream_max_connections",
					typed_config: {
						"@type":
							"type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
						max_active_downstream_connections: GATEWAY_CONNECTIONS_MAX,
					},
				},
			],
		},
		layered_runtime: {
			layers: [
				{
					name: "weir",
					static_layer: {
						// Ends ext_proc streams without RST_STREAM, which Node answers with GOAWAY.
						"envoy.reloadable_features.ext_proc_graceful_grpc_close": true,
						// Operators run `weir trace` right after a request; Envoy's default is 5 s.
						"tracing.opentelemetry.flush_interval_ms": 200,
						// Path templates of AccessPolicies are regular expressions. One that Envoy rejects would block all routes.
						"re2.max_program_size.error_level": RE2_PROGRAM_MAX,
						"re2.max_program_size.warn_level": RE2_PROGRAM_MAX,
					},
				},
			],
		},
	};
}

/**
 * With Envoy's default (four tries of 5 s) one name whose DNS server does not answer would delay every Envoy's start and
 * route updates by 20 s.
 */
const RESOLVER = {
	name: "envoy.network.dns_resolver.cares",
	typed_config: {
		"@type": "type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
		query_timeout_seconds: 1,
		query_tries: 2,
	},
};

function ownClusters(options: BootstrapOptions): readonly object[] {
	const { collectors, sidecarSocket = null, identitySocket = null, remote = {} } = options;
	const accessLog = remote.accessLog ?? collectors.accessLogSocket;
	const traces = remote.traces ?? collectors.tracesSocket;
	return [
		...(identitySocket === null ? [] : [socketCluster(IDENTITY_CLUSTER, identitySocket)]),
		...(sidecarSocket === null
			? []
			: [
					{ ...socketCluster(SIDECAR_CLUSTER, sidecarSocket), ...bounded(CALLOUT_WAITING_MAX) },
					{ ...socketCluster(SIDECAR_STREAMS_CLUSTER, sidecarSocket), ...bounded(CALLOUT_PROCESS_STREAMS_MAX) },
				]),
		...(accessLog === null
			? []
			: [
					{
						...controlCluster(ACCESS_LOG_CLUSTER, accessLog, remote.accessLog === undefined ? undefined : LOG_WAITS),
						per_connection_buffer_limit_bytes: ACCESS_LOG_UNSENT_BYTES,
					},
				]),
		...(traces === null ? [] : [controlCluster(TRACES_CLUSTER, traces)]),
	];
}

/** Maximum calls in flight to the sidecar. Above it Envoy answers 503 at once instead of after the timeout. */
const bounded = (calls: number): object => ({
	circuit_breakers: { thresholds: [{ max_requests: calls, max_pending_requests: calls, max_retries: 0 }] },
});

/** gRPC to a Weir process: by UNIX socket on this machine, else by mTLS, never in plain text. */
function controlCluster(name: string, listener: string | RemoteListener, waits?: Waits): object {
	if (typeof listener === "string") return socketCluster(name, listener);
	const { address, port, spiffeId } = listener;
	return {
		...grpcCluster(name, { socket_address: { address, port_value: port } }, waits),
		type: "STRICT_DNS",
		dns_lookup_family: "V4_PREFERRED",
		transport_socket: upstreamIdentity([spiffeId], true),
	};
}

const socketCluster = (name: string, path: string): object => grpcCluster(name, { pipe: { path } });

/** Milliseconds: connect timeout, PING interval, PING timeout. */
interface Waits {
	readonly connectMs: number;
	readonly pingMs: number;
	readonly answerMs: number;
}

const WAITS: Waits = { connectMs: 1_000, pingMs: 30_000, answerMs: 5_000 };
const LOG_WAITS: Waits = { connectMs: ACCESS_LOG_CONNECT_MS, pingMs: ENVOY_ASKS_MS, answerMs: ENVOY_ASKS_MS };

function grpcCluster(name: string, address: object, { connectMs, pingMs, answerMs } = WAITS): object {
	return {
		name,
		type: "STATIC",
		connect_timeout: protoDuration(connectMs),
		typed_extension_protocol_options: {
			"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
				"@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
				explicit_http_config: {
					http2_protocol_options: {
						connection_keepalive: { interval: protoDuration(pingMs), timeout: protoDuration(answerMs) },
					},
				},
			},
		},
		load_assignment: {
			cluster_name: name,
			endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }],
		},
	};
}

function withoutType(resource: EnvoyResource): Record<string, unknown> {
	const { "@type": _, ...rest } = resource;
	return rest;
}

interface Inlines {
	readonly routes: ReadonlyMap<unknown, object>;
	readonly extensions: ReadonlyMap<unknown, unknown>;
}

/** Inlines the route configuration that `rds` names and the filter configuration that `config_discovery` names. */
function inlined(value: unknown, known: Inlines): unknown {
	if (Array.isArray(value)) return value.map((item) => inlined(item, known));
	if (typeof value !== "object" || value === null) return value;
	return Object.fromEntries(
		Object.entries(value).map(([key, inner]) => {
			if (key === "rds")
				return ["route_config", known.routes.get((inner as { route_config_name: string }).route_config_name)];
			if (key === "config_discovery") return ["typed_config", known.extensions.get((value as { name?: unknown }).name)];
			return [key, inlined(inner, known)];
		}),
	);
}
