/** How an Istio gateway reaches the sidecar: Istio's cluster for it, and its limits. */
import { CALLOUT_REQUESTS_PER_CONNECTION } from "../../limits/index.js";
import type { IstioContext } from "./istioContext.js";
import { type Manifest, type MeshOptions, manifest } from "./mesh.js";
import { clusterService } from "./variantEndpoints.js";

/** Host of a UNIX socket in Istio's registry; it never resolves in DNS. */
const SOCKET_HOST = "sidecar.weir.internal";
/** A registry entry needs a port, even for a socket. */
const SOCKET_PORT = 9191;

/** Host and port of the sidecar in Istio's registry. */
export function registered({ sidecar }: MeshOptions): { readonly host: string; readonly port: number } {
	return "socketPath" in sidecar ? { host: SOCKET_HOST, port: SOCKET_PORT } : sidecar;
}

/** Istio's name of the cluster of a registered host. */
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
				// Over TCP the sidecar is never called in plain text; a socket's peer is known by its uid.
				tls: { mode: socket ? "DISABLE" : "ISTIO_MUTUAL" },
			},
		}),
	];
}
