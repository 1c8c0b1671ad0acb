/**
 * The gRPC servers of xds: a UNIX socket, protected by its directory, and TCP with mTLS only. Each call is passed on
 * with its authenticated client, or with the reason to refuse it.
 */
import { rm } from "node:fs/promises";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { WeirError } from "../../error.js";
import { XDS_CONNECTIONS_MAX, XDS_KEEPALIVE_ANSWER_MS, XDS_KEEPALIVE_MS } from "../../limits/index.js";
import { claimSocket, restrictSocket } from "../../trust/local/socket.js";
import { type AdmitPeers, admitting } from "../../trust/tls/admitPeers.js";
import { listenHttp2, type MutualTls } from "../../trust/tls/connectionLimits.js";
import { boundStreams } from "../../trust/tls/grpcStreams.js";
import type { HandshakeFault } from "../../trust/tls/handshake.js";
import type { Call } from "./connection.js";
import { type LoadCall, LoadReportingServiceDefinition } from "./loadReports.js";
import { type Peer, peerOf, type RefusedFor, type RefusedPeer } from "./peer.js";
import { type AnswerProbe, type ProbeCall, ProbeServiceDefinition } from "./probes.js";
import { AggregatedDiscoveryServiceDefinition } from "./service.js";

/**
 * Lifetime of a TCP connection to xds, so that its client presents a renewed certificate: SVIDs live for an hour and are
 * renewed at half of it. Envoys keep their configuration meanwhile.
 */
const XDS_CONNECTION_AGE_MS = 10 * 60 * 1000;

/** One DiscoveryRequest: a node with its metadata, or the names of some ten thousand clusters. */
const XDS_REQUEST_BYTES_MAX = 4 * 1024 * 1024;

/** Streams on one TCP connection: an Envoy's configuration, load reports and agent report; a sidecar's table. */
export const XDS_STREAMS_OF_CONNECTION_MAX = 32;

export type XdsAddress = { readonly socketPath: string } | { readonly host: string; readonly port: number };

/** Security of a TCP port: mTLS, and the SPIFFE id that a client has proved by it. */
export interface XdsSecurity {
	readonly tls: MutualTls;
	readonly admitPeers: AdmitPeers;
	/**
	 * null = the certificate is not an X.509-SVID of the own trust domain, or a proxy forwards the call for another
	 * client.
	 */
	readonly idOf: (call: Pick<Call, "getAuthContext" | "metadata">) => string | null;
}

type PeerOf = (call: Pick<Call, "getAuthContext" | "metadata">) => Peer | RefusedPeer;

export interface GrpcListenersOptions {
	/** null = UNIX socket only. */
	readonly secure: XdsSecurity | null;
	/** How long a TCP connection may stay without a stream. */
	readonly connectionIdleMs: number;
	readonly onStream: (call: Call, peer: Peer | RefusedPeer) => void;
	readonly onLoads: (call: LoadCall, peer: Peer | RefusedPeer) => void;
	readonly onProbe: (call: ProbeCall, peer: Peer | RefusedPeer, answer: AnswerProbe) => void;
	/** Called for each refused connection. */
	readonly onRefused: (reason: RefusedFor, id: string | null) => void;
	/** Called for each failed TLS handshake. */
	readonly onHandshakeFault: (fault: HandshakeFault) => void;
}

export class GrpcListeners {
	/** One server per address, so calls on the socket and on TCP cannot be confused. */
	readonly #servers: Server[] = [];
	readonly #listeners: { close(): void }[] = [];
	#socketPath: string | null = null;

	constructor(readonly options: GrpcListenersOptions) {}

	/**
	 * Listens on one address. May be called again for another.
	 * @returns the address; port 0 is replaced by the assigned port
	 * @throws WeirError `invalid-argument` for TCP without an identity, `already-exists` or `unavailable` if the
	 * address is in use
	 */
	async listen(address: XdsAddress): Promise<XdsAddress> {
		if ("socketPath" in address) {
			await claimSocket(address.socketPath);
			await this.#bind(`unix:${address.socketPath}`);
			this.#socketPath = address.socketPath;
			await restrictSocket(address.socketPath);
			return address;
		}
		const { host, port } = address;
		const { secure, connectionIdleMs, onRefused, onHandshakeFault } = this.options;
		if (secure === null) {
			throw new WeirError("invalid-argument", `xds has no identity for ${host}`, "give it one, or use a UNIX socket");
		}
		const server = this.#server((call) => peerByTls(secure, call), {
			// A connection must not outlive its certificate.
			"grpc.max_connection_age_ms": XDS_CONNECTION_AGE_MS,
			"grpc.max_connection_age_grace_ms": 1_000,
			"grpc.max_connection_idle_ms": connectionIdleMs,
			"grpc.max_concurrent_streams": XDS_STREAMS_OF_CONNECTION_MAX,
		});
		boundStreams(server, (id) => onRefused("too-many", id));
		const { injectConnection } = server.createConnectionInjector(ServerCredentials.createInsecure());
		try {
			const tls = admitting(
				secure,
				(id) => peerOf(id) !== null,
				(id) => onRefused(id === null ? "no-svid" : "not-a-client", id),
			);
			const onFull = ({ id }: { readonly id: string | null }): void => onRefused("too-many", id);
			const bounds = { connections: XDS_CONNECTIONS_MAX, onFull, onHandshakeFault };
			const listener = await listenHttp2({ host, port, tls, ...bounds }, injectConnection);
			this.#listeners.push(listener);
			this.#servers.push(server);
			return { host, port: listener.port };
		} catch (error) {
			server.forceShutdown();
			throw cannotListen(`${host}:${port}`, error);
		}
	}

	async close(): Promise<void> {
		for (const listener of this.#listeners) listener.close();
		for (const server of this.#servers) server.forceShutdown();
		if (this.#socketPath !== null) await rm(this.#socketPath, { force: true });
		this.#socketPath = null;
	}

	/** @param more gRPC options */
	#server(peer: PeerOf, more: Readonly<Record<string, number>>): Server {
		const server = new Server({
			"grpc.max_receive_message_length": XDS_REQUEST_BYTES_MAX,
			"grpc.max_send_message_length": -1,
			// Detects Envoys that vanished without closing.
			"grpc.keepalive_time_ms": XDS_KEEPALIVE_MS,
			"grpc.keepalive_timeout_ms": XDS_KEEPALIVE_ANSWER_MS,
			...more,
		});
		server.addService(AggregatedDiscoveryServiceDefinition, {
			streamAggregatedResources: (call: Call) => this.options.onStream(call, peer(call)),
		});
		server.addService(LoadReportingServiceDefinition, {
			streamLoadStats: (call: LoadCall) => this.options.onLoads(call, peer(call)),
		});
		server.addService(ProbeServiceDefinition, {
			next: (call: ProbeCall, answer: AnswerProbe) => this.options.onProbe(call, peer(call), answer),
		});
		return server;
	}

	/** Binds a UNIX socket. All its callers count as the owner. */
	async #bind(target: string): Promise<void> {
		const server = this.#server(() => ({ kind: "owner" }), {});
		try {
			await new Promise<void>((resolve, reject) => {
				server.bindAsync(target, ServerCredentials.createInsecure(), (error) => {
					if (error === null) resolve();
					else reject(error);
				});
			});
			this.#servers.push(server);
		} catch (error) {
			server.forceShutdown();
			throw cannotListen(target, error);
		}
	}
}

/** On TCP a client without a SPIFFE id is refused: there is no other proof of identity. */
function peerByTls({ idOf }: XdsSecurity, call: Pick<Call, "getAuthContext" | "metadata">): Peer | RefusedPeer {
	const id = idOf(call);
	return id === null ? { refusedFor: "no-svid", id } : (peerOf(id) ?? { refusedFor: "not-a-client", id });
}

const cannotListen = (where: string, cause: unknown): WeirError =>
	new WeirError("unavailable", `xds cannot listen on ${where}`, "is another control running?", { cause });
