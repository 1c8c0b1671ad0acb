/**
 * One listener per Gateway: TLS, header hygiene, access filters, access log and tracing around the router. Transparent to
 * existing Services: upgrades and 100-continue are passed through, and no request timeout is added. A Service sees
 * x-request-id (Envoy's), x-forwarded-*, x-envoy-external-address, and with an Experiment x-weir-arm;
 * test/envoy/transparency.test.ts has the list.
 */

import { demandsClientCertificates, type Gateway, qualifiedName, tlsFiles } from "../../declare/resources/resource.js";
import { ACCESS_LOG_FLUSH_MS, ACCESS_LOG_PERIODIC_MS, GATEWAY_CONNECTION_MS } from "../../limits/index.js";
import { type Collectors, type EnvoyResource, routeConfigName } from "../plan/compiledPlan.js";
import { ARM_HEADER, TRACE_HEADER } from "../plan/headers.js";
import { accessFilters, gateFilter } from "./accessControl.js";
import { type CalloutFilters, calloutFilters } from "./calloutFilters.js";
import { proofReplies } from "./calloutProof.js";
import { hardenedHeaders, hardening, keptForwardedCert, strippedHeaders, strippedTrailers } from "./canonical.js";
import { protoDuration } from "./duration.js";
import { downstreamIdentity, NO_RESUMPTION, ofTrustDomains, uriNames } from "./identityTls.js";
import { denialReplies } from "./localReplies.js";
import { limitsAfterTokens, limitsBeforeTokens } from "./rateLimits.js";
import { type TokensContext, tokenFilters } from "./tokens.js";

/** Gateway request header limit in KiB: Envoy's own default. It also limits a unit in Envoy. */
const GATEWAY_HEADERS_KIB = 60;

/**
 * Default idle timeout where clients need no certificate; also the request head timeout where no Service is protected.
 * Longer than the 60 s of usual load balancers in front: the side that closes first loses no request.
 */
export const GATEWAY_IDLE_MS = 75_000;

/**
 * Log entries that a worker buffers before it sends them, also while it connects. With Envoy's default of 16 KiB it
 * dropped entries of a burst on a new connection. Below ACCESS_LOG_MESSAGE_BYTES_MAX.
 */
const ACCESS_LOG_BUFFER_BYTES = 2 * 1024 * 1024;

/** Timeout of a client's TLS handshake: two round trips and retransmissions. */
export const GATEWAY_HANDSHAKE_MS = 10_000;

/**
 * Client connections to one Gateway: a flood of one public Gateway leaves 10,000 to the others. Not divided by the
 * number of Gateways: each new Gateway would then change and drain every listener.
 */
export const GATEWAY_CONNECTIONS_EACH_MAX = 40_000;

/** Static bootstrap clusters of Weir's own processes. */
export const ACCESS_LOG_CLUSTER = "weir_access_log";
export const TRACES_CLUSTER = "weir_traces";

export interface ListenerContext {
	readonly gateway: Gateway;
	readonly collectors: Collectors;
	/** Some Service is protected: paths are normalised before they are judged. */
	readonly protects: boolean;
	/** Headers in the access log for ingest: unit headers of all Experiments, the default one, and segments'. */
	readonly loggedHeaders: readonly string[];
	readonly tokens: TokensContext;
	/** Filters that call the sidecar; null = none. */
	readonly callout: CalloutFilters | null;
	/** Filters compute a unit or judge a request, so requests are also logged when sent upstream and while open. */
	readonly lateUnits: boolean;
	/** Some Service has rate limits. */
	readonly limits: boolean;
	/** Maximum age of a connection with an SVID; GATEWAY_CONNECTION_MS with other certificates. */
	readonly connectionMs: number;
	/** Trust domain of the mesh for a Gateway with `identity: mesh`; null = unknown, and it accepts no client. */
	readonly trustDomain: string | null;
	/** `{rds: …}` or `{route_config: …}`. */
	readonly routes: object;
}

export function listener(context: ListenerContext): EnvoyResource {
	const { gateway } = context;
	return {
		"@type": "type.googleapis.com/envoy.config.listener.v3.Listener",
		name: qualifiedName(gateway.metadata),
		address: { socket_address: { address: gateway.spec.address, port_value: gateway.spec.port } },
		stat_prefix: statPrefix(gateway),
		filter_chains: [
			{
				filters: [
					connectionLimit(gateway),
					{ name: "envoy.filters.network.http_connection_manager", typed_config: connectionManager(context) },
				],
				...downstreamTls(gateway, context.trustDomain),
			},
		],
	};
}

const SAMPLERS = "type.googleapis.com/envoy.extensions.tracers.opentelemetry.samplers.v3";

/** Qualified, so that two Gateways of one name in an Envoy do not share counters. */
const statPrefix = (gateway: Gateway): string => `gateway.${qualifiedName(gateway.metadata)}`;

/** Before TLS: connections above a Gateway's limit are closed at once, without affecting other Gateways. */
const connectionLimit = (gateway: Gateway): object => ({
	name: "envoy.filters.network.connection_limit",
	typed_config: {
		"@type": "type.googleapis.com/envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit",
		stat_prefix: statPrefix(gateway),
		// Proto3 JSON format of 64-bit integers.
		max_connections: String(GATEWAY_CONNECTIONS_EACH_MAX),
	},
});

/** Routes by RDS over ADS, for a Plan that control publishes. */
export const routesByDiscovery = (gateway: Gateway): object => ({
	rds: {
		route_config_name: routeConfigName(qualifiedName(gateway.metadata)),
		config_source: { ads: {}, resource_api_version: "V3" },
	},
});

function connectionManager(context: ListenerContext): object {
	const { gateway, collectors, protects, routes } = context;
	return {
		"@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
		stat_prefix: statPrefix(gateway),
		codec_type: "AUTO",
		...routes,
		// Client address and request id come from Envoy. A request that it refuses before it made an id keeps the client's id, in
		// the response and in the access log (events/receive/accessLog/accessLogEntry.ts).
		use_remote_address: true,
		always_set_request_id_in_response: true,
		server_header_transformation: "PASS_THROUGH",
		forward_client_cert_details: demandsClientCertificates(gateway) ? "SANITIZE_SET" : "SANITIZE",
		...(demandsClientCertificates(gateway) ? { set_current_client_cert_details: { uri: true } } : {}),
		max_request_headers_kb: GATEWAY_HEADERS_KIB,
		stream_idle_timeout: protoDuration(gateway.spec.idleTimeoutMs),
		proxy_100_continue: true,
		http_protocol_options: { enable_trailers: true },
		upgrade_configs: [{ upgrade_type: "websocket" }],
		// Open paths are not normalised: that would break signed URLs (`%7E` becomes `~`).
		...(protects ? hardening() : { normalize_path: false }),
		...connectionLife(context),
		// Clients cannot send arm, Variant or claims: these headers are removed before routing.
		early_header_mutation_extensions: [
			{
				name: "strip",
				typed_config: {
					"@type": "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
					mutations: [
						...strippedHeaders(protects),
						...(gateway.spec.trustedProxies.length === 0 ? [] : [keptForwardedCert()]),
					],
				},
			},
		],
		http_filters: [
			mutationFilter(context),
			// Gate and rate limits come before costly signature checks.
			gateFilter(),
			...(context.limits ? limitsBeforeTokens() : []),
			...tokenFilters(context.tokens),
			...(context.limits ? limitsAfterTokens() : []),
			...accessFilters(),
			...(context.callout === null ? [] : calloutFilters(context.callout)),
			{
				name: "envoy.filters.http.router",
				typed_config: {
					"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
					suppress_envoy_headers: true,
					...sentLog(context),
				},
			},
		],
		local_reply_config: { mappers: [...(context.callout === null ? [] : proofReplies()), ...denialReplies()] },
		...accessLog(context),
		...tracing(collectors),
	};
}

/**
 * Idle timeouts, so that unauthenticated clients that only finish TLS do not use up all connections. A connection with a
 * client certificate may be idle for longer and is drained at a maximum age, so that its client shows a newer certificate:
 * HTTP/2 by GOAWAY, HTTP/1.1 with a response. No connection ends during a request.
 */
function connectionLife({ gateway, protects, connectionMs }: ListenerContext): object {
	const proved = demandsClientCertificates(gateway);
	const lifeMs = gateway.spec.tls?.from === "identity" ? connectionMs : GATEWAY_CONNECTION_MS;
	return {
		...(protects ? {} : { request_headers_timeout: protoDuration(GATEWAY_IDLE_MS) }),
		...(proved ? { http1_safe_max_connection_duration: true } : {}),
		common_http_protocol_options: {
			...(protects ? hardenedHeaders() : {}),
			...(proved ? { max_connection_duration: protoDuration(lifeMs) } : {}),
			idle_timeout: protoDuration(
				gateway.spec.connectionIdleTimeoutMs ?? (proved ? GATEWAY_CONNECTION_MS : GATEWAY_IDLE_MS),
			),
		},
	};
}

/**
 * Trailers arrive after every verdict, so those that look like a judged header are removed; on an open Gateway only those
 * reserved for Weir. The trace header is set here, before any filter can refuse the request.
 */
const mutationFilter = ({ protects, loggedHeaders, collectors }: ListenerContext): object => ({
	name: "weir.mutations",
	typed_config: {
		"@type": "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
		mutations: {
			...(collectors.accessLogSocket === null || collectors.tracesSocket === null
				? {}
				: { request_mutations: [LOGGED_TRACE] }),
			request_trailers_mutations: protects ? strippedTrailers(loggedHeaders) : strippedHeaders(false),
		},
	},
});

/**
 * Trace of a request for the access log, sampled or not, if its client sent none. Envoy writes the header only upstream, and
 * replaces this one there. So only the access log sees the parent id, of a span that Envoy does not export. A client's own
 * header stays: Envoy makes no trace of an unreadable one, but the Service may. Envoy 1.36 rejects the gRPC access log's
 * `value` of a custom tag, which would do the same.
 */
const LOGGED_TRACE: object = {
	append: {
		header: { key: TRACE_HEADER, value: "00-%TRACE_ID%-0000000000000001-00" },
		append_action: "ADD_IF_ABSENT",
	},
};

/** One entry at the start and one at the end of each request (design: Exposure). */
function accessLog(context: ListenerContext): object {
	if (context.collectors.accessLogSocket === null) return {};
	return {
		access_log_options: {
			flush_access_log_on_new_request: true,
			...(context.lateUnits ? { access_log_flush_interval: protoDuration(ACCESS_LOG_PERIODIC_MS) } : {}),
		},
		access_log: [accessLogger(context)],
	};
}

/**
 * One entry when the router has a connection, after all filters. The end may be minutes later, because the client decides
 * when it reads the response, and Envoy writes no periodic entries for a complete response.
 */
function sentLog(context: ListenerContext): object {
	if (context.collectors.accessLogSocket === null || !context.lateUnits) return {};
	return {
		upstream_log: [{ ...accessLogger(context), filter: { log_type_filter: { types: ["UpstreamPoolReady"] } } }],
		upstream_log_options: { flush_upstream_log_on_upstream_stream: true },
	};
}

/** One configuration for both, so that they share a stream and the start entry comes first. */
const accessLogger = ({ gateway, callout, loggedHeaders }: ListenerContext): object => ({
	name: "weir",
	typed_config: {
		"@type": "type.googleapis.com/envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig",
		common_config: {
			// Names the Gateway for ingest (events/receive/accessLog/streamIdentity.ts): each listener has its own stream.
			log_name: `weir|${qualifiedName(gateway.metadata)}`,
			transport_api_version: "V3",
			grpc_service: { envoy_grpc: { cluster_name: ACCESS_LOG_CLUSTER } },
			buffer_flush_interval: protoDuration(ACCESS_LOG_FLUSH_MS),
			buffer_size_bytes: ACCESS_LOG_BUFFER_BYTES,
		},
		// An upstream entry has no metadata. If the sidecar assigns, its answer is in the header that it sets.
		additional_request_headers_to_log: [...loggedHeaders, ...(callout === null ? [] : [ARM_HEADER]), TRACE_HEADER],
	},
});

/**
 * The sampler decides whether a request is traced: by the client's trace context, else by our percentage. Envoy 1.40's tracer
 * also needs the HTTP connection manager's decision, which ignores traceparent; earlier versions did not. So the manager
 * decides "trace" for every request (its three percentages default to 100 %), which costs no CPU (126 µs a request either
 * way), and does not write that into request ids, where Envoys downstream would read "sampled".
 */
function tracing({ tracesSocket, traceSamplingPercent }: Collectors): object {
	if (tracesSocket === null) return {};
	return {
		request_id_extension: {
			typed_config: {
				"@type": "type.googleapis.com/envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig",
				pack_trace_reason: false,
			},
		},
		tracing: {
			// Every request pays for each tag, sampled or not: telemetry/attribution.ts adds what these two and the cluster imply.
			// A span of its own for the upstream would cost another 11 µs a request.
			spawn_upstream_span: false,
			custom_tags: [
				{ tag: "weir.arm", request_header: { name: ARM_HEADER } },
				{ tag: "weir.plan", metadata: { kind: { route: {} }, metadata_key: { key: "weir", path: [{ key: "plan" }] } } },
			],
			provider: {
				name: "envoy.tracers.opentelemetry",
				typed_config: {
					"@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
					grpc_service: { envoy_grpc: { cluster_name: TRACES_CLUSTER }, timeout: "1s" },
					service_name: "weir-envoy",
					sampler: clientsOrShare(traceSamplingPercent),
				},
			},
		},
	};
}

const clientsOrShare = (percent: number): object => ({
	name: "envoy.tracers.opentelemetry.samplers.parent_based",
	typed_config: {
		"@type": `${SAMPLERS}.ParentBasedSamplerConfig`,
		wrapped_sampler: {
			name: "envoy.tracers.opentelemetry.samplers.trace_id_ratio_based",
			typed_config: {
				"@type": `${SAMPLERS}.TraceIdRatioBasedSamplerConfig`,
				sampling_percentage: { numerator: Math.round(percent * 10_000), denominator: "MILLION" },
			},
		},
	},
});

function downstreamTls(gateway: Gateway, trustDomain: string | null): object {
	const handshake = { transport_socket_connect_timeout: protoDuration(GATEWAY_HANDSHAKE_MS) };
	if (gateway.spec.tls?.from === "identity") return { ...handshake, transport_socket: downstreamIdentity(trustDomain) };
	const tls = tlsFiles(gateway);
	if (tls === null) return {};
	return {
		...handshake,
		transport_socket: {
			name: "envoy.transport_sockets.tls",
			typed_config: {
				"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
				require_client_certificate: tls.clientCaFile !== null,
				...(tls.clientCaFile === null ? {} : NO_RESUMPTION),
				common_tls_context: {
					alpn_protocols: ["h2", "http/1.1"],
					tls_certificates: [
						{ certificate_chain: { filename: tls.certificateFile }, private_key: { filename: tls.privateKeyFile } },
					],
					...(tls.clientCaFile === null ? {} : { validation_context: clientsOf(tls.clientCaFile, tls.trustDomains) }),
				},
			},
		},
	};
}

/** Without trust domains, any id that the CA signed is accepted. */
const clientsOf = (caFile: string, trustDomains: readonly string[] | undefined): object => ({
	trusted_ca: { filename: caFile },
	...(trustDomains === undefined ? {} : uriNames(ofTrustDomains(trustDomains))),
});
