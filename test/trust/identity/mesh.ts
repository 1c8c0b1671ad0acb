/**
 * A small mesh for tests: our own CA, a real Envoy that takes certificate and bundle from it over SDS, a Node server that
 * only Envoy may talk to, and clients. The bootstrap is written by hand, so that it does not depend on the compiler.
 */
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type RequestOptions, request, type Server } from "node:https";
import { type AddressInfo, createServer as createNetServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ConnectionOptions, connect } from "node:tls";
import { startCa } from "../../../src/trust/identity/ca.js";
import { admitPeers, clientTls, followRotation, mutualAgent, serverTls } from "../../../src/trust/identity/nodeTls.js";
import type { Identity } from "../../../src/trust/identity/svid.js";
import { followWorkload, type Workload } from "../../../src/trust/identity/workloadClient.js";
import type { TestScope } from "../../envoy/harness.js";

export const TRUST_DOMAIN = "weir.test";
export const id = (path: string): string => `spiffe://${TRUST_DOMAIN}/weir/${path}`;
export const ENVOY = id("envoy/gateway");
export const CLIENT = id("client");
export const PREDICTOR = id("predictor");

/** Polls a condition of another process; the wait is long, because the machine may be busy. */
export async function until(holds: () => boolean | Promise<boolean>, what: string, patienceMs = 60_000): Promise<void> {
	const deadline = Date.now() + patienceMs;
	while (!(await holds())) {
		if (Date.now() > deadline) throw new Error(`never: ${what}`);
		await new Promise((resolve) => setTimeout(resolve, 20));
	}
}

export async function scratch(t: TestScope): Promise<string> {
	const directory = await mkdtemp(join(tmpdir(), "weir-id-"));
	t.teardown(() => rm(directory, { recursive: true, force: true }));
	return directory;
}

export async function identityOf(t: TestScope, socketPath: string): Promise<Workload> {
	const workload = await followWorkload({ socketPath, firstWaitMs: 30_000 });
	t.teardown(() => workload.close());
	return workload;
}

export interface GuardedServer {
	readonly port: number;
	readonly server: Server;
	/** Why connections were refused. */
	readonly refusals: string[];
	/** x-forwarded-client-cert of each request. */
	readonly forwarded: (string | undefined)[];
}

/** A server that requires mTLS and admits only these ids. */
export async function guardedServer(
	t: TestScope,
	identity: Identity,
	admitted: readonly string[] = [ENVOY],
): Promise<GuardedServer> {
	const refusals: string[] = [];
	const forwarded: (string | undefined)[] = [];
	const server = createServer({ ...serverTls(identity), keepAliveTimeout: 60_000 }, (incoming, response) => {
		forwarded.push(incoming.headers["x-forwarded-client-cert"] as string | undefined);
		response.end("served");
	});
	admitPeers(
		server,
		identity,
		(peer) => admitted.includes(peer),
		(reason, peer) => refusals.push(`${reason} ${peer ?? "unauthenticated"}`),
	);
	server.on("tlsClientError", (error: NodeJS.ErrnoException) => refusals.push(error.code ?? error.message));
	const stop = followRotation(server, identity);
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	t.teardown(async () => {
		stop();
		server.closeAllConnections();
		server.close();
	});
	return { port: (server.address() as AddressInfo).port, server, refusals, forwarded };
}

/** A client of its own for one server id; each call is a new connection. */
export function client(identity: Identity, port: number, server: string = ENVOY): () => Promise<number> {
	return async () => {
		const agent = mutualAgent(identity, (peer) => peer === server);
		try {
			return await get({ port, agent });
		} finally {
			agent.destroy();
		}
	};
}

/** @returns the status @throws the error of TLS or of the socket */
export function get(options: RequestOptions): Promise<number> {
	return new Promise((resolve, reject) => {
		const asked = request({ host: "127.0.0.1", path: "/", ...options }, (response) => {
			response.resume();
			response.on("end", () => resolve(response.statusCode ?? 0));
			response.on("error", reject);
		});
		asked.on("error", reject);
		asked.end();
	});
}

/** A free port, for a program that cannot report its port. */
export async function freePort(): Promise<number> {
	const server = createNetServer().listen(0, "127.0.0.1");
	await once(server, "listening");
	const { port } = server.address() as AddressInfo;
	await new Promise((resolve) => server.close(resolve));
	return port;
}

/** Sends one request from a raw TLS client. @returns the status, or `refused` */
export async function attempt(port: number, options: ConnectionOptions): Promise<number | "refused"> {
	const socket = connect({ rejectUnauthorized: false, servername: "", ...options, host: "127.0.0.1", port });
	let text = "";
	socket.setEncoding("latin1").on("data", (chunk: string) => {
		text += chunk;
	});
	socket.on("error", () => {});
	socket.write("GET / HTTP/1.1\r\nhost: mesh.test\r\nconnection: close\r\n\r\n");
	// Not once(): a TLS alert is an error event, and here a refusal.
	await new Promise((resolve) => socket.on("close", resolve));
	const status = /^HTTP\/1\.1 (\d+)/.exec(text)?.[1];
	return status === undefined ? "refused" : Number(status);
}

/** The CA, the server and a client; Envoy is started from meshBootstrap. */
export async function mesh(t: TestScope, lifetimes: { svidLifetimeMs?: number; rootLifetimeMs?: number } = {}) {
	const directory = await scratch(t);
	const ca = await startCa({ directory: join(directory, "ca"), trustDomain: TRUST_DOMAIN, ...lifetimes });
	t.teardown(() => ca.close());
	const socket = (name: string) => join(directory, "run", `${name}.sock`);
	await ca.workload(ENVOY, socket("envoy"));
	await ca.workload(PREDICTOR, socket("predictor"));
	await ca.workload(CLIENT, socket("client"));
	await ca.workload(id("unknown"), socket("unknown"));
	const predictor = await guardedServer(t, await identityOf(t, socket("predictor")));
	const caller = await identityOf(t, socket("client"));
	return { directory, ca, socket, predictor, caller };
}

/** Sends requests, two at a time, each on a new connection, until it is stopped. */
export function load(
	t: TestScope,
	ask: () => Promise<number>,
): { stop(): Promise<{ served: number; failed: string[] }> } {
	let on = true;
	let served = 0;
	const failed: string[] = [];
	const loop = async (): Promise<void> => {
		while (on && failed.length < 100) {
			const outcome = await ask().catch((error: Error) => error.message);
			if (outcome === 200) served++;
			else failed.push(String(outcome));
			await new Promise((resolve) => setTimeout(resolve, 10));
		}
	};
	const loops = [loop(), loop()];
	const stop = async (): Promise<{ served: number; failed: string[] }> => {
		on = false;
		await Promise.all(loops);
		return { served, failed };
	};
	t.teardown(async () => void (await stop()));
	return { stop };
}

export { clientTls, mutualAgent };

const API = "type.googleapis.com/envoy.extensions";
const sds = {
	resource_api_version: "V3",
	api_config_source: {
		api_type: "GRPC",
		transport_api_version: "V3",
		grpc_services: [{ envoy_grpc: { cluster_name: "weir_identity" } }],
	},
};

/** TLS as the compiler writes it: own certificate and trust bundle by SDS, peers by exact SPIFFE id. */
const tlsContext = (peers: readonly string[], certificate: string, bundle: string) => ({
	tls_params: { tls_minimum_protocol_version: "TLSv1_3", tls_maximum_protocol_version: "TLSv1_3" },
	tls_certificate_sds_secret_configs: [{ name: certificate, sds_config: sds }],
	combined_validation_context: {
		default_validation_context: {
			match_typed_subject_alt_names: peers.map((exact) => ({ san_type: "URI", matcher: { exact } })),
		},
		validation_context_sds_secret_config: { name: bundle, sds_config: sds },
	},
});

export interface MeshBootstrap {
	/** The identity socket of this Envoy. */
	readonly identitySocket: string;
	readonly upstreamPort: number;
	readonly clients?: readonly string[];
	readonly upstream?: string;
	/** SDS names; SPIRE's by default. */
	readonly certificate?: string;
	readonly bundle?: string;
}

export function meshBootstrap(options: MeshBootstrap): (adminSocket: string) => object {
	const { identitySocket, upstreamPort, clients = [CLIENT], upstream = PREDICTOR } = options;
	const { certificate = "default", bundle = "ROOTCA" } = options;
	const http = (extra: object) => ({
		"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
			"@type": `${API}.upstreams.http.v3.HttpProtocolOptions`,
			...extra,
		},
	});
	return (adminSocket) => ({
		admin: { address: { pipe: { path: adminSocket, mode: 0o600 } } },
		node: { id: "gateway", cluster: "weir" },
		static_resources: {
			clusters: [
				{
					name: "weir_identity",
					type: "STATIC",
					typed_extension_protocol_options: http({ explicit_http_config: { http2_protocol_options: {} } }),
					load_assignment: {
						cluster_name: "weir_identity",
						endpoints: [{ lb_endpoints: [{ endpoint: { address: { pipe: { path: identitySocket } } } }] }],
					},
				},
				{
					name: "upstream",
					type: "STATIC",
					// New connections all the time, so that upstream connections rotate too.
					typed_extension_protocol_options: http({
						common_http_protocol_options: { max_requests_per_connection: 5 },
						explicit_http_config: { http_protocol_options: {} },
					}),
					transport_socket: {
						name: "tls",
						typed_config: {
							"@type": `${API}.transport_sockets.tls.v3.UpstreamTlsContext`,
							common_tls_context: tlsContext([upstream], certificate, bundle),
						},
					},
					load_assignment: {
						cluster_name: "upstream",
						endpoints: [
							{
								lb_endpoints: [
									{ endpoint: { address: { socket_address: { address: "127.0.0.1", port_value: upstreamPort } } } },
								],
							},
						],
					},
				},
			],
			listeners: [
				{
					name: "inbound",
					address: { socket_address: { address: "127.0.0.1", port_value: 0 } },
					filter_chains: [
						{
							transport_socket: {
								name: "tls",
								typed_config: {
									"@type": `${API}.transport_sockets.tls.v3.DownstreamTlsContext`,
									require_client_certificate: true,
									common_tls_context: tlsContext(clients, certificate, bundle),
								},
							},
							filters: [
								{
									name: "envoy.filters.network.http_connection_manager",
									typed_config: {
										"@type": `${API}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
										stat_prefix: "inbound",
										forward_client_cert_details: "SANITIZE_SET",
										set_current_client_cert_details: { uri: true, subject: true, dns: true, cert: true },
										http_filters: [
											{
												name: "envoy.filters.http.router",
												typed_config: { "@type": `${API}.filters.http.router.v3.Router` },
											},
										],
										route_config: {
											virtual_hosts: [
												{
													name: "all",
													domains: ["*"],
													routes: [{ match: { prefix: "/" }, route: { cluster: "upstream" } }],
												},
											],
										},
									},
								},
							],
						},
					],
				},
			],
		},
	});
}
