/** How Envoy Gateway reaches the sidecar: a reference to its Kubernetes Service, or a Backend that is a socket. */
import { CALLOUT_REQUESTS_PER_CONNECTION } from "../../limits/index.js";
import { type EnvoyGatewayContext, KINDS } from "./envoyGatewayContext.js";
import { type Manifest, type MeshOptions, manifest } from "./mesh.js";
import { clusterService } from "./variantEndpoints.js";

const SIDECAR = "weir-sidecar";

export function sidecarBackends({ asked, options: { sidecar, namespace } }: EnvoyGatewayContext): readonly Manifest[] {
	if (asked.length === 0 || !("socketPath" in sidecar)) return [];
	return [
		manifest(
			KINDS.Backend,
			{ name: SIDECAR, namespace },
			{ endpoints: [{ unix: { path: sidecar.socketPath } }], appProtocols: ["gateway.envoyproxy.io/h2c"] },
		),
	];
}

/** Common backendRefs and backendSettings of extAuth.grpc and extProc. */
export function sidecarReference({ sidecar }: MeshOptions): object {
	return {
		backendRefs: [
			"socketPath" in sidecar
				? { group: "gateway.envoyproxy.io", kind: "Backend", name: SIDECAR }
				: { group: "", kind: "Service", ...clusterService(sidecar.host), port: sidecar.port },
		],
		backendSettings: { circuitBreaker: { maxRequestsPerConnection: CALLOUT_REQUESTS_PER_CONNECTION } },
	};
}
