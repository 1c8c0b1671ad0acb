/**
 * The doors of xds: a UNIX socket, whose directory says who may come, and TCP with mTLS only. Each call comes in with who its
 * client is, or with why nobody serves it.
 */
import { rm } from "node:fs/promises";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { WeirError } from "../../error.js";
import {
	XDS_CONNECTION_AGE_MS,
	XDS_CONNECTIONS_MAX,
	XDS_KEEPALIVE_ANSWER_MS,
	XDS_KEEPALIVE_MS,
	XDS_REQUEST_BYTES_MAX,
	XDS_STREAMS_OF_CONNECTION_MAX,
} from "../../limits/index.js";
import { claimSocket, restrictSocket } from "../../trust/local/socket.js";
import { type AdmitPeers, admitting } from "../../trust/tls/admitPeers.js";
import { boundStreams } from "../../trust/tls/grpcStreams.js";
import type { HandshakeFault } from "../../trust/tls/handshake.js";
import { type MutualTls, openHttp2Door } from "../../trust/tls/tlsDoor.js";
import type { Call } from "./connection.js";
import { type LoadCall, LoadReportingServiceDefinition } from "./loadReports.js";
import { type Peer, peerOf, type RefusedFor, type Stranger } from "./peer.js";
import { type AnswerProbe, type ProbeCall, ProbeServiceDefinition } from "./probes.js";
import { AggregatedDiscoveryServiceDefinition } from "./service.js";

export type XdsAddress = { readonly socketPath: string } | { readonly host: string; readonly port: number };

/** A port: mTLS, and the SPIFFE id that a call's client has proved by it. */
export interface XdsSecurity {
	readonly tls: MutualTls;
	readonly admitPeers: AdmitPeers;
	/** null = the certificate is no X.509-SVID of the own trust domain, or the call is another's that a proxy passes on. */
	readonly idOf: (call: Pick<Call, "getAuthContext" | "metadata">) => string | null;
}

type PeerOf = (call: Pick<Call, "getAuthContext" | "metadata">) => Peer | Stranger;

export interface XdsDoorsOptions {
	/** null: the UNIX socket only. */
	readonly secure: XdsSecurity | null;
	/** How long a TCP connection may have no stream. */
	readonly connectionIdleMs: number;
	readonly onStream: (call: Call, peer: Peer | Stranger) => void;
	readonly onLoads: (call: LoadCall, peer: Peer | Stranger) => void;
	readonly onProbe: (call: ProbeCall, peer: Peer | Stranger, answer: AnswerProbe) => void;
	/** Told of each connection that is refused. */
	readonly onRefused: (reason: RefusedFor, id: string | null) => void;
	/** Told of each TLS handshake that failed. */
	readonly onHandshakeFault: (fault: HandshakeFault) => void;
}

export class XdsDoors {
	/** One server a door, so that no call of one can be taken for one of the other. */
	readonly #servers: Server[] = [];
	readonly #doors: { close(): void }[] = [];
	#socketPath: string | null = null;

	constructor(readonly options: XdsDoorsOptions) {}

	/**
	 * Opens one door; may be called again for another.
	 * @returns where it listens; port 0 is replaced by the port that was taken.
	 * @throws WeirError `invalid-argument` for TCP without an identity, `already-exists` or `unavailable` when it is taken.
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
		const server = this.#server((call) => proved(secure, call), {
			// A connection must not outlive the certificate that it was opened with.
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
			const onCrowded = ({ id }: { readonly id: string | null }): void => onRefused("too-many", id);
			const bounds = { connections: XDS_CONNECTIONS_MAX, onCrowded, onHandshakeFault };
			const door = await openHttp2Door({ host, port, tls, ...bounds }, injectConnection);
			this.#doors.push(door);
			this.#servers.push(server);
			return { host, port: door.port };
		} catch (error) {
			server.forceShutdown();
			throw taken(`${host}:${port}`, error);
		}
	}

	async close(): Promise<void> {
		for (const door of this.#doors) door.close();
		for (const server of this.#servers) server.forceShutdown();
		if (this.#socketPath !== null) await rm(this.#socketPath, { force: true });
		this.#socketPath = null;
	}

	/** @param more options for gRPC */
	#server(peer: PeerOf, more: Readonly<Record<string, number>>): Server {
		const server = new Server({
			"grpc.max_receive_message_length": XDS_REQUEST_BYTES_MAX,
			"grpc.max_send_message_length": -1,
			// Finds Envoys that vanished without closing.
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

	/** A UNIX socket, whose callers are the owner's. */
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
			throw taken(target, error);
		}
	}
}

/** A client that no SPIFFE id speaks for is refused: on this door there is no other proof. */
function proved({ idOf }: XdsSecurity, call: Pick<Call, "getAuthContext" | "metadata">): Peer | Stranger {
	const id = idOf(call);
	return id === null ? { refusedFor: "no-svid", id } : (peerOf(id) ?? { refusedFor: "not-a-client", id });
}

const taken = (where: string, cause: unknown): WeirError =>
	new WeirError("unavailable", `xds cannot listen on ${where}`, "is another control running?", { cause });
