/** EnvoyFilters for an Istio gateway: early removal of client `x-weir-*` headers, and the ext_proc filter. */
import { CONTEXT, METADATA_NAMESPACE, PROCESS_FILTER } from "../envoy/calloutContext.js";
import { protoDuration } from "../envoy/duration.js";
import { ARM_HEADER, parameterHeader, VARIANT_HEADER, WEIR_HEADER_SPELLINGS } from "../plan/headers.js";
import type { IstioContext } from "./istioContext.js";
import { registered, sidecarCluster } from "./istioSidecar.js";
import { type Fragment, type Manifest, manifest } from "./mesh.js";
import { claimHeaders, exposesArm, longestTimeoutMs } from "./meshService.js";

const CONNECTION_MANAGER = "envoy.filters.network.http_connection_manager";
const HCM = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

/** Matches one HTTP filter of the gateway's listeners by Istio's name. */
export const httpFilterMatch = (name: string): object => ({
	context: "GATEWAY",
	listener: { filterChain: { filter: { name: CONNECTION_MANAGER, subFilter: { name } } } },
});

const connectionManagerMatch: object = {
	context: "GATEWAY",
	listener: { filterChain: { filter: { name: CONNECTION_MANAGER } } },
};

/** Before routing and the sidecar, so that clients cannot set arm, Variant or claims. */
export function stripManifest({ services, options }: IstioContext): Manifest {
	return manifest(
		["networking.istio.io/v1alpha3", "EnvoyFilter"],
		{ name: "weir-strip", namespace: options.namespace },
		{
			workloadSelector: { labels: options.gatewayLabels },
			configPatches: [
				{
					applyTo: "NETWORK_FILTER",
					match: connectionManagerMatch,
					patch: {
						operation: "MERGE",
						value: {
							name: CONNECTION_MANAGER,
							typed_config: {
								"@type": HCM,
								early_header_mutation_extensions: [
									{
										name: "weir.strip",
										typed_config: {
											"@type":
												"type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
											mutations: WEIR_HEADER_SPELLINGS.map((prefix) => ({
												remove_on_match: { key_matcher: { prefix, ignore_case: true } },
											})),
										},
									},
								],
								// Rules must judge the path that the Service gets (as in the native form).
								...(services.some(({ judgesPaths }) => judgesPaths)
									? {
											normalize_path: true,
											merge_slashes: true,
											path_with_escaped_slashes_action: "REJECT_REQUEST",
										}
									: {}),
							},
						},
					},
				},
			],
		},
	);
}

/** After token authentication if claims are needed, else first: always before any authorisation. */
export function extProcManifests(context: IstioContext): readonly Manifest[] {
	const { asked, options } = context;
	const place =
		claimHeaders(asked).length > 0
			? { match: httpFilterMatch("envoy.filters.http.jwt_authn"), operation: "INSERT_AFTER" }
			: { match: connectionManagerMatch, operation: "INSERT_FIRST" };
	return [
		manifest(
			["networking.istio.io/v1alpha3", "EnvoyFilter"],
			{ name: "weir-ext-proc", namespace: options.namespace },
			{
				workloadSelector: { labels: options.gatewayLabels },
				configPatches: [
					{
						applyTo: "HTTP_FILTER",
						match: place.match,
						patch: { operation: place.operation, value: { name: PROCESS_FILTER, typed_config: extProc(context) } },
					},
				],
			},
		),
	];
}

/** The bootstrap guard against ext_proc stream resets, beside the DestinationRule. */
export function extProcFragments(): readonly Fragment[] {
	return [
		{
			into: "MeshConfig, or the annotation proxy.istio.io/config of the gateway's pods (there without defaultConfig)",
			value: {
				defaultConfig: {
					runtimeValues: { "envoy.reloadable_features.ext_proc_graceful_grpc_close": "true" },
				},
			},
		},
	];
}

function extProc(context: IstioContext): object {
	const { asked, options } = context;
	const timeout = protoDuration(longestTimeoutMs(asked));
	return {
		"@type": "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor",
		grpc_service: {
			// The cluster's name contains `|`, which is invalid in an authority.
			envoy_grpc: { cluster_name: sidecarCluster(options), authority: registered(options).host },
			timeout,
			...(exposesArm(context.resources) ? { initial_metadata: [{ key: CONTEXT.expose, value: "1" }] } : {}),
		},
		stat_prefix: "weir_process",
		failure_mode_allow: false,
		status_on_error: { code: "ServiceUnavailable" },
		message_timeout: timeout,
		processing_mode: {
			request_header_mode: "SEND",
			response_header_mode: "SKIP",
			request_body_mode: "NONE",
			response_body_mode: "NONE",
			request_trailer_mode: "SKIP",
			response_trailer_mode: "SKIP",
		},
		// The sidecar requests the response only if it changes it.
		allow_mode_override: true,
		request_attributes: ["connection.uri_san_peer_certificate"],
		metadata_options: { receiving_namespaces: { untyped: [METADATA_NAMESPACE] } },
		// Exactly our headers: the sidecar cannot be used to forge an identity upstream.
		mutation_rules: {
			disallow_all: true,
			allow_expression: {
				regex: `^(${VARIANT_HEADER}|${ARM_HEADER}|${parameterHeader("[a-z0-9-]+")}|set-cookie)$`,
			},
			disallow_is_error: true,
		},
	};
}
