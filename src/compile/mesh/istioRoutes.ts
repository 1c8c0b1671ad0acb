/**
 * Routes of an Istio gateway. The sidecar names the Variant in a request header. A Service that uses the sidecar has no route
 * without that header, so a request without a callout reaches no Variant, even if another part fails.
 */
import type { Endpoint, Protocol, Service, Variant } from "../../declare/resources/resource.js";
import { protoDuration } from "../envoy/duration.js";
import { VARIANT_HEADER } from "../plan/headers.js";
import type { IstioContext } from "./istioContext.js";
import { type Manifest, manifest } from "./mesh.js";
import { type MeshService, servedBy, variantName } from "./meshService.js";
import { clusterService } from "./variantEndpoints.js";

const PORT_NAME: Readonly<Record<Protocol, string>> = { http1: "http", http2: "http2", grpc: "grpc" };

export function virtualService(one: MeshService, { gateways, options }: IstioContext): Manifest {
	const { spec } = one.service;
	const byVariant = spec.variants.map((variant) => ({
		name: variantName(one, variant),
		match: [{ headers: { [VARIANT_HEADER]: { exact: variant.name } } }],
		...action(one, variant),
	}));
	const byDefault = spec.variants.filter(({ name }) => name === spec.defaultVariant);
	return manifest(
		["networking.istio.io/v1", "VirtualService"],
		{ name: one.objectName, namespace: options.namespace },
		{
			hosts: spec.hosts,
			gateways,
			http: one.asked
				? [...byVariant, { name: `${one.objectName}-unanswered`, directResponse: { status: 503 } }]
				: byDefault.map((variant) => ({ name: variantName(one, variant), ...action(one, variant) })),
		},
	);
}

function action(one: MeshService, variant: Variant): object {
	const { spec } = one.service;
	const served = servedBy(spec, variant);
	if (served === null) return { directResponse: { status: 503 } };
	return {
		route: [{ destination: { host: hostOf(one, served), port: { number: portOf(served.endpoints) } } }],
		...(spec.timeoutMs === 0 ? {} : { timeout: protoDuration(spec.timeoutMs) }),
		// Always set: Istio's default is two retries.
		retries:
			spec.retries === null
				? { attempts: 0 }
				: {
						attempts: spec.retries.attempts,
						retryOn: spec.retries.on.join(","),
						...(spec.retries.perTryTimeoutMs === 0
							? {}
							: { perTryTimeout: protoDuration(spec.retries.perTryTimeoutMs) }),
					},
	};
}

/** A single Kubernetes Service is already in the registry; anything else is registered under a Weir name. */
function isRegistered({ endpoints }: Variant): boolean {
	const [only] = endpoints;
	return endpoints.length === 1 && only !== undefined && clusterService(only.address) !== null;
}

function hostOf({ service: { metadata } }: MeshService, variant: Variant): string {
	const [first] = variant.endpoints;
	if (isRegistered(variant) && first !== undefined) return first.address;
	return `${variant.name}.${metadata.name}.${metadata.namespace}.weir.internal`;
}

const portOf = (endpoints: readonly Endpoint[]): number => endpoints[0]?.port ?? 0;

/** ServiceEntries and DestinationRules of the Variants that need them. */
export function destinations(one: MeshService, { options }: IstioContext): readonly Manifest[] {
	return one.service.spec.variants
		.filter(({ endpoints }) => endpoints.length > 0)
		.flatMap((variant) => {
			const metadata = { name: variantName(one, variant), namespace: options.namespace };
			return [
				...(isRegistered(variant)
					? []
					: [manifest(["networking.istio.io/v1", "ServiceEntry"], metadata, serviceEntry(one, variant))]),
				...trafficPolicy(one.service).map((policy) =>
					manifest(["networking.istio.io/v1", "DestinationRule"], metadata, {
						host: hostOf(one, variant),
						trafficPolicy: policy,
					}),
				),
			];
		});
}

function serviceEntry(one: MeshService, variant: Variant): object {
	const { protocol } = one.service.spec;
	const name = PORT_NAME[protocol];
	return {
		hosts: [hostOf(one, variant)],
		location: "MESH_EXTERNAL",
		resolution: variant.endpoints.every(({ address }) => /^[0-9.]+$|:/.test(address)) ? "STATIC" : "DNS",
		ports: [
			{ number: portOf(variant.endpoints), name, protocol: protocol === "http1" ? "HTTP" : protocol.toUpperCase() },
		],
		endpoints: variant.endpoints.map(({ address, port, locality }) => ({
			address,
			ports: { [name]: port },
			...(locality === null
				? {}
				: { locality: [locality.region, locality.zone, locality.subZone].filter((part) => part !== "").join("/") }),
		})),
	};
}

/** At most one: the breaker and the outlier detection that the Service declares. */
function trafficPolicy({ spec: { circuitBreaker, outlierDetection } }: Service): readonly object[] {
	if (circuitBreaker === null && outlierDetection === null) return [];
	return [
		{
			...(circuitBreaker === null
				? {}
				: {
						connectionPool: {
							tcp: { maxConnections: circuitBreaker.maxConnections },
							http: {
								http1MaxPendingRequests: circuitBreaker.maxPendingRequests,
								http2MaxRequests: circuitBreaker.maxRequests,
								maxRetries: circuitBreaker.maxRetries,
							},
						},
					}),
			...(outlierDetection === null
				? {}
				: {
						outlierDetection: {
							consecutive5xxErrors: outlierDetection.consecutive5xx,
							interval: protoDuration(outlierDetection.intervalMs),
							baseEjectionTime: protoDuration(outlierDetection.baseEjectionTimeMs),
							maxEjectionPercent: outlierDetection.maxEjectionPercent,
						},
						// With outlier detection Istio fails over to any locality by default.
						loadBalancer: { localityLbSetting: { enabled: false } },
					}),
		},
	];
}
