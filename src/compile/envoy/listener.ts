/**
 * One listener per Gateway: TLS, header hygiene, access filters, access log and tracing around the router.
 * What an existing service would notice is left as it is (transparency): upgrades and 100-continue
 * passed through, no request timeout of ours. It sees x-request-id (Envoy's own), x-forwarded-* and
 * x-envoy-external-address, and x-weir-arm with an experiment; test/envoy/transparency.test.ts holds the list.
 */

import { demandsClientCertificates, type Gateway, qualifiedName, tlsFiles } from "../../declare/resources/resource.js";
import {
	ACCESS_LOG_BUFFER_BYTES,
	ACCESS_LOG_FLUSH_MS,
	ACCESS_LOG_PERIODIC_MS,
	GATEWAY_CONNECTION_MS,
	GATEWAY_CONNECTIONS_EACH_MAX,
	GATEWAY_HANDSHAKE_MS,
	GATEWAY_HEADERS_KIB,
	GATEWAY_IDLE_MS,
} from "../../limits/index.js";
import { type Collectors, type EnvoyResource, routeConfigName } from "../table/plan.js";
import { accessFilters, gateFilter } from "./accessControl.js";
import { type CalloutFilters, calloutFilters } from "./calloutFilters.js";
import { proofReplies } from "./calloutProof.js";
import { hardenedHeaders, hardening, keptForwardedCert, strippedHeaders, strippedTrailers } from "./canonical.js";
import { protoDuration } from "./duration.js";
import { ARM_HEADER, TRACE_HEADER } from "./headers.js";
import { downstreamIdentity, NO_RESUMPTION, ofTrustDomains, uriNames } from "./identityTls.js";
import { denialReplies } from "./localReplies.js";
import { limitsAfterTokens, limitsBeforeTokens } from "./rateLimits.js";
import { type TokensContext, tokenFilters } from "./tokens.js";

/** Static clusters of the bootstrap that lead to Weir's own processes. */
export const ACCESS_LOG_CLUSTER = "weir_access_log";
export const TRACES_CLUSTER = "weir_traces";

export interface ListenerContext {
	readonly gateway: Gateway;
	readonly collectors: Collectors;
	/** Some Service is protected: paths are made canonical before they are judged. */
	readonly protects: boolean;
	/** Headers that the access log carries to ingest: the unit headers of all Experiments, the usual one, and segments'. */
	readonly loggedHeaders: readonly string[];
	readonly tokens: TokensContext;
	/** Filters that ask the sidecar; null = none are there. */
	readonly callout: CalloutFilters | null;
	/** Some unit is known, or some request judged, by the filters only: requests are logged when sent on, and while open. */
	readonly lateUnits: boolean;
	/** Some Service has rate limits. */
	readonly limits: boolean;
	/** How long a connection with an SVID is used; GATEWAY_CONNECTION_MS with other certificates. */
	readonly connectionMs: number;
	/** Of the mesh, whose ids a Gateway with `identity: mesh` takes; null = not known, and it takes nobody. */
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

/** Qualified: two Gateways of one Envoy that share a name must not share counters. */
const statPrefix = (gateway: Gateway): string => `gateway.${qualifiedName(gateway.metadata)}`;

/** Before TLS: what one Gateway has too many of is closed at once, and shuts no other Gateway. */
const connectionLimit = (gateway: Gateway): object => ({
	name: "envoy.filters.network.connection_limit",
	typed_config: {
		"@type": "type.googleapis.com/envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit",
		stat_prefix: statPrefix(gateway),
		// As proto3 JSON has 64 bits.
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
		// The client's address and request id are Envoy's word, not the client's. But what it refuses before it made an id keeps the
		// client's, in the response and in the access log (events/accessLog/accessLogEntry.ts).
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
		// An open path is the Service's own business: normalising would break signed URLs (`%7E` becomes `~`).
		...(protects ? hardening() : { normalize_path: false }),
		...connectionLife(context),
		// A client can name neither arm nor Variant nor claim: what it sends of them is taken away before routing.
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
			// What no rule should be asked about, and what is too much, before costly signatures are checked.
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
 * An idle connection ends, so that strangers who only finish TLS do not hold those of all. One with a client certificate
 * may lie idle for longer, and ends in order, so that its client shows a newer one: HTTP/2 by GOAWAY, HTTP/1.1 with a
 * response. None of them ends while a request is on its way.
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
 * Trailers come after every verdict, so what of them could be taken for a judged header does not reach the Service; where
 * nothing is judged, as among headers, what only Weir may say. And the trace, before anything may refuse the request.
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
 * The trace of a request for the access log, sampled or not, where its client sent none: Envoy itself writes the header only into
 * what it sends on, and there over this one. So nobody but the access log reads the parent's id, which stands for a span that
 * Envoy does not tell. A client's own stays: of one that Envoy cannot read it makes no trace, and the Service may.
 * The gRPC access log's own word for it (`value` of a custom tag) is one that Envoy 1.36 refuses.
 */
const LOGGED_TRACE: object = {
	append: {
		header: { key: TRACE_HEADER, value: "00-%TRACE_ID%-0000000000000001-00" },
		append_action: "ADD_IF_ABSENT",
	},
};

/** An entry at the start of each request and one at its end (design: Exposure). */
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
 * An entry when the router has a connection for the request, after all filters: the end may come minutes later, for the
 * client decides when it takes the answer, and Envoy writes no periodic entries of an answer that is whole.
 */
function sentLog(context: ListenerContext): object {
	if (context.collectors.accessLogSocket === null || !context.lateUnits) return {};
	return {
		upstream_log: [{ ...accessLogger(context), filter: { log_type_filter: { types: ["UpstreamPoolReady"] } } }],
		upstream_log_options: { flush_upstream_log_on_upstream_stream: true },
	};
}

/** The same for both, so that they share a stream and a request's start comes before what is sent on. */
const accessLogger = ({ gateway, callout, loggedHeaders }: ListenerContext): object => ({
	name: "weir",
	typed_config: {
		"@type": "type.googleapis.com/envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig",
		common_config: {
			// Names the Gateway to ingest (events/accessLog/streamIdentity.ts): each listener has a stream of its own.
			log_name: `weir|${qualifiedName(gateway.metadata)}`,
			transport_api_version: "V3",
			grpc_service: { envoy_grpc: { cluster_name: ACCESS_LOG_CLUSTER } },
			buffer_flush_interval: protoDuration(ACCESS_LOG_FLUSH_MS),
			buffer_size_bytes: ACCESS_LOG_BUFFER_BYTES,
		},
		// An entry of what is sent on has no metadata: where the sidecar assigns, its word is in the header that it sets.
		additional_request_headers_to_log: [...loggedHeaders, ...(callout === null ? [] : [ARM_HEADER]), TRACE_HEADER],
	},
});

/**
 * Who decides whether a request is traced: the sampler, that is the client where it sent a trace context, else our share.
 * Envoy 1.40's tracer takes a client's sampled trace only where the HTTP connection manager decided for a trace as well, and that
 * knows nothing of traceparent; earlier ones took the client's word. So it decides for every request (its three shares are
 * 100 % where nothing is said), which costs no CPU (126 µs a request both ways), and does not write that into the request ids,
 * where Envoys further on would read "sampled".
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
			// Each tag is paid by every request, sampled or not: telemetry/attribution.ts adds what these two and the
			// cluster imply. A span of its own for the upstream would cost another 11 µs a request.
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

/** Without trust domains the CA alone tells whose ids are taken. */
const clientsOf = (caFile: string, trustDomains: readonly string[] | undefined): object => ({
	trusted_ca: { filename: caFile },
	...(trustDomains === undefined ? {} : uriNames(ofTrustDomains(trustDomains))),
});
