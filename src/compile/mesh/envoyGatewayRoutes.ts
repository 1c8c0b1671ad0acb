/**
 * Routes and backends in Envoy Gateway. The sidecar names the Variant in a request header. A Service that requires an answer
 * has no route to a Variant without that header, even if another part fails.
 */
import { isIp } from "../../declare/resources/address.js";
import type { Endpoint, Service, Variant } from "../../declare/resources/resource.js";
import { VARIANT_HEADER } from "../plan/headers.js";
import { type EnvoyGatewayContext, KINDS } from "./envoyGatewayContext.js";
import { gatewayDuration } from "./gatewayDuration.js";
import { type Manifest, manifest } from "./mesh.js";
import { type MeshService, servedBy, variantName } from "./meshService.js";
import { clusterService, grouped } from "./variantEndpoints.js";

const CLOSED = "weir-closed";

/** Without a declared breaker Envoy's default of 1,024 would cut streams that worked before (uint32 maximum). */
const NO_LIMIT = 4_294_967_295;

/** Envoy's retry_on conditions that BackendTrafficPolicy has a trigger for. */
export const RETRY_TRIGGERS: ReadonlySet<string> = new Set([
	..."5xx gateway-error reset reset-before-request connect-failure retriable-4xx refused-stream".split(" "),
	..."retriable-status-codes cancelled deadline-exceeded internal resource-exhausted unavailable".split(" "),
]);

/** HTTPRoute takes DNS names, not addresses. */
export const isHostname = (host: string): boolean => !isIp(host);

export function httpRoute(one: MeshService, { gateways, options }: EnvoyGatewayContext): Manifest {
	const { spec } = one.service;
	const byDefault = spec.variants.filter(({ name }) => name === spec.defaultVariant);
	const byVariant = spec.variants.map((variant) =>
		rule(one, variant, { headers: [{ type: "Exact", name: VARIANT_HEADER, value: variant.name }] }),
	);
	return manifest(
		KINDS.HTTPRoute,
		{ name: one.objectName, namespace: options.namespace },
		{
			parentRefs: gateways.map(({ metadata }) => ({
				group: "gateway.networking.k8s.io",
				kind: "Gateway",
				name: metadata.name,
				namespace: metadata.namespace,
			})),
			hostnames: spec.hosts.filter(isHostname),
			rules: [
				...(one.asked ? byVariant : []),
				...(one.asked && !one.passes
					? [{ matches: [anyPath({})], ...closed() }]
					: byDefault.map((variant) => rule(one, variant, {}))),
			],
		},
	);
}

const anyPath = (match: object): object => ({ path: { type: "PathPrefix", value: "/" }, ...match });

/** 503 from Envoy itself. */
const closed = (): object => ({
	filters: [
		{
			type: "ExtensionRef",
			extensionRef: { group: "gateway.envoyproxy.io", kind: "HTTPRouteFilter", name: CLOSED },
		},
	],
});

function rule(one: MeshService, variant: Variant, match: object): object {
	const served = servedBy(one.service.spec, variant);
	const matches = [anyPath(match)];
	if (served === null) return { matches, ...closed() };
	return {
		matches,
		backendRefs: backendRefs(one, served),
		// Always set, even 0s: Envoy's default is 15 s.
		timeouts: { request: gatewayDuration(one.service.spec.timeoutMs) },
	};
}

/** At most one: the response to a request that no Variant may serve. */
export function closedFilter({ services, options }: EnvoyGatewayContext): readonly Manifest[] {
	const needed = services.some(
		({ asked, passes, service: { spec } }) =>
			(asked && !passes) || spec.variants.some((variant) => servedBy(spec, variant) === null),
	);
	if (!needed) return [];
	return [
		manifest(
			KINDS.HTTPRouteFilter,
			{ name: CLOSED, namespace: options.namespace },
			{ directResponse: { statusCode: 503 } },
		),
	];
}

/** All endpoints have the same weight, whatever their kind. */
function backendRefs(one: MeshService, variant: Variant): readonly object[] {
	const { services } = grouped(variant.endpoints);
	return [
		...services.map(({ address, port }) => ({
			group: "",
			kind: "Service",
			...clusterService(address),
			port,
			weight: 1,
		})),
		...ownBackends(one, variant).map(({ name, endpoints }) => ({
			group: "gateway.envoyproxy.io",
			kind: "Backend",
			name,
			weight: endpoints.length,
		})),
	];
}

/** DNS names and IP addresses cannot be mixed in one Backend. */
function ownBackends(
	one: MeshService,
	variant: Variant,
): readonly { readonly name: string; readonly endpoints: readonly object[] }[] {
	const { names, addresses } = grouped(variant.endpoints);
	const name = variantName(one, variant);
	const zone = ({ locality }: Endpoint) => (locality === null || locality.zone === "" ? {} : { zone: locality.zone });
	return [
		{
			name,
			endpoints: names.map((endpoint) => ({
				fqdn: { hostname: endpoint.address, port: endpoint.port },
				...zone(endpoint),
			})),
		},
		{
			name: `${name}-ip`,
			endpoints: addresses.map((endpoint) => ({
				ip: { address: endpoint.address, port: endpoint.port },
				...zone(endpoint),
			})),
		},
	].filter(({ endpoints }) => endpoints.length > 0);
}

export function backends(one: MeshService, { options }: EnvoyGatewayContext): readonly Manifest[] {
	const { spec } = one.service;
	return spec.variants.flatMap((variant) =>
		ownBackends(one, variant).map(({ name, endpoints }) =>
			manifest(
				KINDS.Backend,
				{ name, namespace: options.namespace },
				{ endpoints, ...(spec.protocol === "http1" ? {} : { appProtocols: ["gateway.envoyproxy.io/h2c"] }) },
			),
		),
	);
}

/** A ReferenceGrant: the owner of another namespace must allow references to its Services. */
export function referenceGrants({ services, asked, options }: EnvoyGatewayContext): readonly Manifest[] {
	const { namespace, sidecar, protocol } = options;
	const routed = services.flatMap(({ service: { spec } }) =>
		spec.variants.flatMap(({ endpoints }) => endpoints.flatMap(({ address }) => clusterService(address) ?? [])),
	);
	const policies =
		asked.length === 0 || "socketPath" in sidecar
			? []
			: [clusterService(sidecar.host)].filter((found) => found !== null);
	const from = (kind: string) => ({
		group: kind === "HTTPRoute" ? "gateway.networking.k8s.io" : "gateway.envoyproxy.io",
		kind,
		namespace,
	});
	const policyKind = protocol === "ext_authz" ? "SecurityPolicy" : "EnvoyExtensionPolicy";
	const granting = new Set([...routed, ...policies].map((service) => service.namespace));
	granting.delete(namespace);
	return [...granting].sort().map((other) => {
		const names = (found: readonly { name: string; namespace: string }[]) =>
			found.filter((service) => service.namespace === other).map(({ name }) => name);
		return manifest(
			KINDS.ReferenceGrant,
			{ name: `weir-${namespace}`, namespace: other },
			{
				from: [
					...(names(routed).length === 0 ? [] : [from("HTTPRoute")]),
					...(names(policies).length === 0 ? [] : [from(policyKind)]),
				],
				to: [...new Set([...names(routed), ...names(policies)])].map((name) => ({ group: "", kind: "Service", name })),
			},
		);
	});
}

/** Breaker, retries and health of a Service's Variants. */
export function trafficPolicy(one: MeshService, { options }: EnvoyGatewayContext): Manifest {
	const { spec } = one.service;
	const { circuitBreaker, retries } = spec;
	return manifest(
		KINDS.BackendTrafficPolicy,
		{ name: one.objectName, namespace: options.namespace },
		{
			targetRefs: [{ group: "gateway.networking.k8s.io", kind: "HTTPRoute", name: one.objectName }],
			circuitBreaker: {
				maxConnections: circuitBreaker?.maxConnections ?? NO_LIMIT,
				maxPendingRequests: circuitBreaker?.maxPendingRequests ?? NO_LIMIT,
				maxParallelRequests: circuitBreaker?.maxRequests ?? NO_LIMIT,
				maxParallelRetries: circuitBreaker?.maxRetries ?? NO_LIMIT,
			},
			...(retries === null
				? {}
				: {
						retry: {
							numRetries: retries.attempts,
							retryOn: { triggers: retries.on.filter((condition) => RETRY_TRIGGERS.has(condition)) },
							...(retries.perTryTimeoutMs === 0
								? {}
								: { perRetry: { timeout: gatewayDuration(retries.perTryTimeoutMs) } }),
						},
					}),
			...health(spec),
		},
	);
}

function health({ healthCheck, outlierDetection, protocol }: Service["spec"]): object {
	if (healthCheck === null && outlierDetection === null) return {};
	return {
		healthCheck: {
			...(healthCheck === null
				? {}
				: {
						active: {
							interval: gatewayDuration(healthCheck.intervalMs),
							timeout: gatewayDuration(healthCheck.timeoutMs),
							healthyThreshold: healthCheck.healthyThreshold,
							unhealthyThreshold: healthCheck.unhealthyThreshold,
							...(protocol === "grpc" || healthCheck.path === null
								? { type: "GRPC" }
								: { type: "HTTP", http: { path: healthCheck.path } }),
						},
					}),
			...(outlierDetection === null
				? {}
				: {
						passive: {
							consecutive5XxErrors: outlierDetection.consecutive5xx,
							interval: gatewayDuration(outlierDetection.intervalMs),
							baseEjectionTime: gatewayDuration(outlierDetection.baseEjectionTimeMs),
							maxEjectionPercent: outlierDetection.maxEjectionPercent,
						},
					}),
			// Never send to endpoints known to be dead, and count their failures against the arm.
			panicThreshold: 0,
		},
	};
}
