/**
 * One cluster per Variant for the Service's whole life: weights change, clusters stay. IP endpoints come by EDS,
 * DNS names inline.
 */

import { canonicalAddress } from "../../declare/resources/address.js";
import type { Endpoint, Service, Variant } from "../../declare/resources/resource.js";
import { PEER_RENEWAL_MS } from "../../limits/index.js";
import { clusterName, type EnvoyResource } from "../plan/compiledPlan.js";
import { protoDuration } from "./duration.js";
import { upstreamIdentity } from "./identityTls.js";

/**
 * Envoy's idle timeout for upstreams that check its certificate. Less than PEER_RENEWAL_MS, so that no idle connection
 * outlives its certificate.
 */
const MTLS_UPSTREAM_IDLE_MS = PEER_RENEWAL_MS - 10_000;

const UNLIMITED = 4_294_967_295;

export interface VariantCluster {
	readonly cluster: EnvoyResource;
	/** null for DNS clusters, whose endpoints are inline. */
	readonly endpoints: EnvoyResource | null;
}

export function variantCluster(serviceName: string, service: Service, variant: Variant): VariantCluster {
	const name = clusterName(serviceName, variant.name);
	const byAddress = variant.endpoints.every((endpoint) => isIpAddress(endpoint.address));
	const assignment = { cluster_name: name, endpoints: localities(variant.endpoints) };
	const discovery = byAddress
		? { type: "EDS", eds_cluster_config: { eds_config: { ads: {}, resource_api_version: "V3" } } }
		: // Envoy's default, AUTO, takes IPv6 alone where a name has both, and most servers bind 0.0.0.0 or 127.0.0.1.
			{ type: "STRICT_DNS", dns_lookup_family: "V4_PREFERRED", load_assignment: assignment };
	return {
		cluster: {
			"@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
			name,
			...discovery,
			connect_timeout: "1s",
			lb_policy: "LEAST_REQUEST",
			// Panic mode would send requests to endpoints known to be dead, and count the errors against the arm.
			common_lb_config: {
				healthy_panic_threshold: { value: 0 },
				// Envoy's default of 1 s would delay both the first request after a good check and the last after a failed one.
				...(service.spec.healthCheck === null ? {} : { update_merge_window: "0s" }),
			},
			metadata: { filter_metadata: { weir: { service: serviceName, variant: variant.name } } },
			typed_extension_protocol_options: {
				"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
					"@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
					...(service.spec.identities === null
						? {}
						: { common_http_protocol_options: { idle_timeout: protoDuration(MTLS_UPSTREAM_IDLE_MS) } }),
					explicit_http_config:
						service.spec.protocol === "http1"
							? { http_protocol_options: { enable_trailers: true } }
							: { http2_protocol_options: {} },
				},
			},
			...(service.spec.identities === null
				? {}
				: { transport_socket: upstreamIdentity(service.spec.identities, service.spec.protocol !== "http1") }),
			circuit_breakers: circuitBreakers(service),
			...healthChecks(service),
			...outlierDetection(service),
		},
		endpoints: byAddress
			? { "@type": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment", ...assignment }
			: null,
	};
}

/** Without a declared breaker Envoy's defaults (1,024) would cut long-lived streams that worked before Weir. */
function circuitBreakers({ spec }: Service): object {
	const breaker = spec.circuitBreaker;
	return {
		thresholds: [
			{
				max_connections: breaker?.maxConnections ?? UNLIMITED,
				max_pending_requests: breaker?.maxPendingRequests ?? UNLIMITED,
				max_requests: breaker?.maxRequests ?? UNLIMITED,
				max_retries: breaker?.maxRetries ?? UNLIMITED,
			},
		],
	};
}

function healthChecks({ spec }: Service): object {
	const check = spec.healthCheck;
	if (check === null) return {};
	// Otherwise the cluster's name, which is no valid authority: HTTP/2 servers that check it close the connection.
	const authority = spec.hosts.find((host) => !host.startsWith("*.")) ?? spec.hosts[0]?.replace("*", "health");
	return {
		// Otherwise Envoy keeps using a removed endpoint while it is healthy, for example in a region that is no longer allowed.
		// With replacements, removed endpoints stay until these are checked (xds/endpointDrain.ts).
		ignore_health_on_host_removal: true,
		health_checks: [
			{
				interval: protoDuration(check.intervalMs),
				// Envoy's default is 60 s until the first request (HealthCheck.no_traffic_interval). An endpoint whose first check
				// failed, because its model was still loading, would stay unhealthy that long, and without endpoints no request
				// comes.
				no_traffic_interval: protoDuration(check.intervalMs),
				timeout: protoDuration(check.timeoutMs),
				healthy_threshold: check.healthyThreshold,
				unhealthy_threshold: check.unhealthyThreshold,
				...(check.path === null
					? { grpc_health_check: { authority } }
					: {
							http_health_check: {
								host: authority,
								path: check.path,
								...(spec.protocol === "http1" ? {} : { codec_client_type: "HTTP2" }),
							},
						}),
			},
		],
	};
}

function outlierDetection({ spec }: Service): object {
	const outlier = spec.outlierDetection;
	if (outlier === null) return {};
	return {
		outlier_detection: {
			consecutive_5xx: outlier.consecutive5xx,
			interval: protoDuration(outlier.intervalMs),
			base_ejection_time: protoDuration(outlier.baseEjectionTimeMs),
			max_ejection_percent: outlier.maxEjectionPercent,
		},
	};
}

/** Endpoints by locality, in declared order. */
function localities(endpoints: readonly Endpoint[]): readonly object[] {
	const groups = new Map<string, { locality: object; lb_endpoints: object[] }>();
	for (const { address, port, locality } of endpoints) {
		const { region = "", zone = "", subZone = "" } = locality ?? {};
		const key = JSON.stringify([region, zone, subZone]);
		const group = groups.get(key) ?? { locality: { region, zone, sub_zone: subZone }, lb_endpoints: [] };
		const socketAddress = { address: canonicalAddress(address), port_value: port };
		group.lb_endpoints.push({ endpoint: { address: { socket_address: socketAddress } } });
		groups.set(key, group);
	}
	return [...groups.values()];
}

/** Resource checks have refused anything that is neither an address nor a DNS name, and a DNS name has no colon. */
const isIpAddress = (address: string): boolean => address.includes(":") || /^[\d.]+$/.test(address);
