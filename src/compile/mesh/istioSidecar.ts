/** How an Istio gateway reaches the sidecar: the cluster that Istio makes of it, and what that cluster must not do. */
import { CALLOUT_REQUESTS_PER_CONNECTION } from "../../limits/index.js";
import type { IstioContext } from "./istioContext.js";
import { type Manifest, type MeshOptions, manifest } from "./mesh.js";
import { clusterService } from "./variantEndpoints.js";

/** Host under which a socket in the gateway's pod stands in Istio's registry; no DNS ever resolves it. */
const SOCKET_HOST = "sidecar.weir.internal";
/** A registry entry needs a port, though a socket has none. */
const SOCKET_PORT = 9191;

/** Host and port of the sidecar in Istio's registry. */
export function registered({ sidecar }: MeshOptions): { readonly host: string; readonly port: number } {
	return "socketPath" in sidecar ? { host: SOCKET_HOST, port: SOCKET_PORT } : sidecar;
}

/** Name that Istio gives the cluster of a registered host. */
export function sidecarCluster(options: MeshOptions): string {
	const { host, port } = registered(options);
	return `outbound|${port}||${host}`;
}

/** As MeshConfig names it: with its namespace, because a host may be in several. */
export function providerService(options: MeshOptions): string {
	const { host } = registered(options);
	return `${clusterService(host)?.namespace ?? options.namespace}/${host}`;
}

export function sidecarDestination({ options }: IstioContext): readonly Manifest[] {
	const { host, port } = registered(options);
	const metadata = { name: "weir-sidecar", namespace: options.namespace };
	const { sidecar } = options;
	const socket = "socketPath" in sidecar;
	return [
		...(socket
			? [
					manifest(["networking.istio.io/v1", "ServiceEntry"], metadata, {
						hosts: [host],
						location: "MESH_EXTERNAL",
						resolution: "STATIC",
						ports: [{ number: port, name: "grpc", protocol: "GRPC" }],
						endpoints: [{ address: `unix://${sidecar.socketPath}` }],
					}),
				]
			: []),
		manifest(["networking.istio.io/v1", "DestinationRule"], metadata, {
			host,
			trafficPolicy: {
				connectionPool: { http: { maxRequestsPerConnection: CALLOUT_REQUESTS_PER_CONNECTION } },
				// Over TCP the sidecar is never asked in plain text; a socket's peer is known by its uid.
				tls: { mode: socket ? "DISABLE" : "ISTIO_MUTUAL" },
			},
		}),
	];
}
