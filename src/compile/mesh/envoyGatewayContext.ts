/** Types shared by the Envoy Gateway files: the input of their manifests, and the manifest kinds. */
import type { Gateway, ResourceSet } from "../../declare/resources/resource.js";
import type { Manifest, MeshOptions } from "./mesh.js";
import type { MeshService } from "./meshService.js";

/** Input of all Envoy Gateway manifests. */
export interface EnvoyGatewayContext {
	readonly resources: ResourceSet;
	readonly services: readonly MeshService[];
	/** Services that use the sidecar. */
	readonly asked: readonly MeshService[];
	readonly options: MeshOptions;
	/** Gateways that the routes attach to. */
	readonly gateways: readonly AttachedGateway[];
	/** External authorisation must run after token authentication. */
	readonly reorders: boolean;
}

export interface AttachedGateway {
	readonly metadata: Manifest["metadata"];
	/** The declaration that it is made from; null = an existing gateway. */
	readonly declared: Gateway | null;
}

/** API versions and kinds, as in the CRDs. */
export const KINDS = {
	Gateway: ["gateway.networking.k8s.io/v1", "Gateway"],
	HTTPRoute: ["gateway.networking.k8s.io/v1", "HTTPRoute"],
	ReferenceGrant: ["gateway.networking.k8s.io/v1", "ReferenceGrant"],
	Backend: ["gateway.envoyproxy.io/v1alpha1", "Backend"],
	BackendTrafficPolicy: ["gateway.envoyproxy.io/v1alpha1", "BackendTrafficPolicy"],
	ClientTrafficPolicy: ["gateway.envoyproxy.io/v1alpha1", "ClientTrafficPolicy"],
	EnvoyExtensionPolicy: ["gateway.envoyproxy.io/v1alpha1", "EnvoyExtensionPolicy"],
	EnvoyProxy: ["gateway.envoyproxy.io/v1alpha1", "EnvoyProxy"],
	HTTPRouteFilter: ["gateway.envoyproxy.io/v1alpha1", "HTTPRouteFilter"],
	SecurityPolicy: ["gateway.envoyproxy.io/v1alpha1", "SecurityPolicy"],
} as const satisfies Readonly<Record<string, readonly [string, string]>>;
