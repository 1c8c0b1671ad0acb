/**
 * The bootstrap that an Istio gateway gets from Weir's manifests, written after pilot's source (listener_builder.go,
 * authz/builder, envoyfilter/listener_patch.go): CUSTOM authorisation as an RBAC shadow and ext_authz, then tokens, then
 * the router; EnvoyFilters applied; ServiceEntries and Kubernetes Services as clusters.
 */
import type { Manifest, MeshOutput } from "../../../src/compile/mesh/mesh.js";
import type { GatewayInput } from "./scenario.js";

type Json = { readonly [key: string]: unknown };

interface Filter {
	readonly name: string;
	readonly typed_config: Json;
}

const TYPE = "type.googleapis.com/envoy";
const HCM = `${TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`;

const specs = <Spec>(output: MeshOutput, kind: string): readonly Spec[] =>
	output.manifests.filter((manifest: Manifest) => manifest.kind === kind).map(({ spec }) => spec as Spec);

export function istioBootstrap({ output, tls, adminSocket, sidecarSocket, port }: GatewayInput): object {
	const routed = new Map(
		specs<VirtualService>(output, "VirtualService")
			.flatMap(({ http }) => http.flatMap(({ route }) => route ?? []))
			.map(({ destination: { host, port } }) => [`outbound|${port.number}||${host}`, host] as const),
	);
	const [rule] = specs<DestinationRule>(output, "DestinationRule");
	return {
		admin: { address: { pipe: { path: adminSocket } } },
		static_resources: {
			listeners: [
				{
					name: "0.0.0.0_8080",
					address: { socket_address: { address: "127.0.0.1", port_value: 0 } },
					filter_chains: [
						{
							filters: [
								{ name: "envoy.filters.network.http_connection_manager", typed_config: connectionManager(output) },
							],
							...mutual(tls),
						},
					],
				},
			],
			clusters: [
				...[...routed].map(([name, host]) =>
					cluster(name, { socket_address: { address: "127.0.0.1", port_value: port(host.split(".")[0] ?? "") } }),
				),
				{
					...cluster(`outbound|9191||${rule?.host}`, { pipe: { path: sidecarSocket } }),
					...http2(rule?.trafficPolicy.connectionPool.http.maxRequestsPerConnection ?? 0),
				},
			],
		},
	};
}

interface VirtualService {
	readonly hosts: readonly string[];
	readonly http: readonly {
		readonly name: string;
		readonly match?: readonly [{ readonly headers: Readonly<Record<string, { readonly exact: string }>> }];
		readonly route?: readonly [
			{ readonly destination: { readonly host: string; readonly port: { readonly number: number } } },
		];
		readonly directResponse?: { readonly status: number };
	}[];
}

interface DestinationRule {
	readonly host: string;
	readonly trafficPolicy: { readonly connectionPool: { readonly http: { readonly maxRequestsPerConnection: number } } };
}

interface EnvoyFilter {
	readonly configPatches: readonly {
		readonly applyTo: string;
		readonly match: {
			readonly listener: {
				readonly filterChain: { readonly filter: { readonly subFilter?: { readonly name: string } } };
			};
		};
		readonly patch: {
			readonly operation: string;
			readonly value: { readonly name?: string; readonly typed_config: Json };
		};
	}[];
}

const cluster = (name: string, address: object): Json => ({
	name,
	type: "STATIC",
	connect_timeout: "1s",
	load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
});

/** Cluster settings from a DestinationRule and from a port named grpc. */
export const http2 = (maxRequests: number): object => ({
	typed_extension_protocol_options: {
		"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
			"@type": `${TYPE}.extensions.upstreams.http.v3.HttpProtocolOptions`,
			common_http_protocol_options: { max_requests_per_connection: maxRequests },
			explicit_http_config: { http2_protocol_options: {} },
		},
	},
});

/** A server of TLS mode MUTUAL. */
export const mutual = (tls: GatewayInput["tls"]): object =>
	tls === null
		? {}
		: {
				transport_socket: {
					name: "envoy.transport_sockets.tls",
					typed_config: {
						"@type": `${TYPE}.extensions.transport_sockets.tls.v3.DownstreamTlsContext`,
						require_client_certificate: true,
						common_tls_context: {
							tls_certificates: [
								{ certificate_chain: { filename: tls.certificateFile }, private_key: { filename: tls.privateKeyFile } },
							],
							validation_context: { trusted_ca: { filename: tls.clientCaFile } },
						},
					},
				},
			};

function connectionManager(output: MeshOutput): Json {
	let manager: Json = {
		"@type": HCM,
		stat_prefix: "outbound_0.0.0.0_8080",
		use_remote_address: true,
		normalize_path: true,
		route_config: {
			name: "http.8080",
			ignore_port_in_host_matching: true,
			virtual_hosts: specs<VirtualService>(output, "VirtualService").map(virtualHost),
		},
	};
	let filters: readonly Filter[] = [...customAuthorization(output), ...tokens(output), ROUTER];
	for (const { configPatches } of specs<EnvoyFilter>(output, "EnvoyFilter")) {
		for (const { applyTo, match, patch } of configPatches) {
			const { subFilter } = match.listener.filterChain.filter;
			const at = filters.findIndex(({ name }) => name === subFilter?.name);
			const { name = "", typed_config } = patch.value;
			if (applyTo === "NETWORK_FILTER") manager = { ...manager, ...typed_config };
			else if (patch.operation === "INSERT_FIRST") filters = [{ name, typed_config }, ...filters];
			else if (at >= 0 && patch.operation === "INSERT_AFTER")
				filters = [...filters.slice(0, at + 1), { name, typed_config }, ...filters.slice(at + 1)];
			else if (at >= 0 && patch.operation === "MERGE")
				filters = filters.map((filter, index) =>
					index === at ? { ...filter, typed_config: { ...filter.typed_config, ...typed_config } } : filter,
				);
			else if (at >= 0) throw new Error(`no such patch here: ${patch.operation}`);
		}
	}
	return { ...manager, http_filters: filters };
}

const ROUTER: Filter = {
	name: "envoy.filters.http.router",
	typed_config: { "@type": `${TYPE}.extensions.filters.http.router.v3.Router` },
};

const virtualHost = ({ hosts, http }: VirtualService, index: number): object => ({
	name: `vs-${index}`,
	domains: hosts,
	routes: http.map(({ name, match, route, directResponse }) => ({
		name,
		match: {
			prefix: "/",
			headers: Object.entries(match?.[0].headers ?? {}).map(([header, value]) => ({
				name: header,
				string_match: value,
			})),
		},
		...(directResponse === undefined ? {} : { direct_response: directResponse }),
		...(route === undefined
			? {}
			: {
					route: {
						cluster: `outbound|${route[0].destination.port.number}||${route[0].destination.host}`,
						timeout: "0s",
					},
				}),
	})),
});

/** The RBAC filter only finds out whether a policy's rule matches; ext_authz then asks. */
function customAuthorization(output: MeshOutput): readonly Filter[] {
	const policies = specs<{
		readonly rules: readonly {
			readonly to?: readonly [{ readonly operation: { readonly hosts: readonly string[] } }];
		}[];
	}>(output, "AuthorizationPolicy");
	const providers = output.fragments.flatMap(
		({ value }) => (value as { readonly extensionProviders?: readonly Provider[] }).extensionProviders ?? [],
	);
	const provider = providers[0]?.envoyExtAuthzGrpc;
	if (policies.length === 0 || provider === undefined) return [];
	const rules = policies.map(({ rules: [rule] }, index) => [
		`istio-ext-authz-weir-sidecar-ns[weir]-policy[${index}]-rule[0]`,
		{
			permissions: [
				rule?.to === undefined ? { any: true } : { or_rules: { rules: rule.to[0].operation.hosts.map(hostRule) } },
			],
			principals: [{ any: true }],
		},
	]);
	return [
		{
			name: "envoy.filters.http.rbac",
			typed_config: {
				"@type": `${TYPE}.extensions.filters.http.rbac.v3.RBAC`,
				shadow_rules: { action: "DENY", policies: Object.fromEntries(rules) },
				shadow_rules_stat_prefix: "istio_ext_authz_",
			},
		},
		{
			name: "envoy.filters.http.ext_authz",
			// clearRouteCache is left out: istiod of August 2026 does not carry it out, the EnvoyFilter does.
			typed_config: {
				"@type": `${TYPE}.extensions.filters.http.ext_authz.v3.ExtAuthz`,
				transport_api_version: "V3",
				grpc_service: {
					envoy_grpc: {
						cluster_name: `outbound|${provider.port}||${provider.service.split("/")[1]}`,
						authority: provider.service.split("/")[1],
					},
					timeout: provider.timeout,
				},
				status_on_error: { code: Number(provider.statusOnError) },
				failure_mode_allow: provider.failOpen,
				filter_enabled_metadata: {
					filter: "envoy.filters.http.rbac",
					path: [{ key: "istio_ext_authz_shadow_effective_policy_id" }],
					value: { string_match: { prefix: "istio-ext-authz" } },
				},
			},
		},
	];
}

interface Provider {
	readonly envoyExtAuthzGrpc: {
		readonly service: string;
		readonly port: number;
		readonly timeout: string;
		readonly statusOnError: string;
		readonly failOpen: boolean;
	};
}

/** matcher/header.go HostMatcher: a `*` at one end only. */
function hostRule(host: string): object {
	const string = host.startsWith("*")
		? { suffix: host.slice(1) }
		: host.endsWith("*")
			? { prefix: host.slice(0, -1) }
			: { exact: host };
	return { header: { name: ":authority", string_match: { ...string, ignore_case: true } } };
}

function tokens(output: MeshOutput): readonly Filter[] {
	const rules = specs<{
		readonly jwtRules: readonly {
			readonly issuer: string;
			readonly audiences?: readonly string[];
			readonly jwks: string;
			readonly outputClaimToHeaders: readonly { readonly header: string; readonly claim: string }[];
		}[];
	}>(output, "RequestAuthentication").flatMap(({ jwtRules }) => jwtRules);
	if (rules.length === 0) return [];
	const providers = rules.map(({ issuer, audiences = [], jwks, outputClaimToHeaders }, index) => [
		`origins-${index}`,
		{
			issuer,
			audiences,
			local_jwks: { inline_string: jwks },
			forward: true,
			claim_to_headers: outputClaimToHeaders.map(({ header, claim }) => ({ header_name: header, claim_name: claim })),
		},
	]);
	return [
		{
			name: "envoy.filters.http.jwt_authn",
			typed_config: {
				"@type": `${TYPE}.extensions.filters.http.jwt_authn.v3.JwtAuthentication`,
				providers: Object.fromEntries(providers),
				rules: [
					{
						match: { prefix: "/" },
						requires: {
							requires_any: {
								requirements: [...providers.map(([name]) => ({ provider_name: name })), { allow_missing: {} }],
							},
						},
					},
				],
			},
		},
	];
}
