/**
 * Ingest's gRPC server: envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs on a UNIX socket in the owner's
 * directory, or over TCP with mTLS; and the reports of `weir envoy` (envoyReport.ts). Envoy gets no acknowledgement. An
 * unauthorised stream is refused: at once if its certificate is not an Envoy's, else at its first message.
 */
import type { Settings } from "node:http2";
import {
	status as grpcStatus,
	Server,
	ServerCredentials,
	type ServerReadableStream,
	type ServerUnaryCall,
	type sendUnaryData,
} from "@grpc/grpc-js";
import { WeirError } from "../../../../error.js";
import { XDS_CONNECTIONS_MAX } from "../../../../limits/index.js";
import { claimSocket, restrictSocket } from "../../../../trust/local/socket.js";
import { type AdmitPeers, admitting } from "../../../../trust/tls/admitPeers.js";
import { listenHttp2, type MutualTls } from "../../../../trust/tls/connectionLimits.js";
import { boundStreams, onSession, rawStreamOf } from "../../../../trust/tls/grpcStreams.js";
import type { HandshakeFault } from "../../../../trust/tls/handshake.js";
import type { Log } from "../../meter.js";
import type { AccessLogEntry } from "./accessLogEntry.js";
import { decodeIdentifier, decodeMessage, type StreamIdentifier } from "./entryDecoder.js";
import { type EntryFault, entryFault } from "./entryFault.js";
import { EnvoyConnections } from "./envoyConnections.js";
import { ENVOY_REPORT_PATH, readEnvoyReport } from "./envoyReport.js";
import {
	envoyName,
	gatewayOfLogName,
	nodeFault,
	type StreamFault,
	type StreamPeer,
	type StreamTrust,
	streamFault,
} from "./streamIdentity.js";

/** Largest access-log message: Envoy sends from ACCESS_LOG_BUFFER_BYTES on, and an entry has at most 60 KiB. */
export const ACCESS_LOG_MESSAGE_BYTES_MAX = 4 * 1024 * 1024;

/**
 * Streams on one connection: an Envoy has a connection per worker and a stream on it per Gateway; for more it opens
 * another.
 */
export const ACCESS_LOG_STREAMS_MAX = 64;

/** Flow-control window of Envoy's access log, per stream and per connection (one for each worker). */
export const ACCESS_LOG_WINDOW_BYTES = 4 * 1024 * 1024;

const BYTES = {
	requestSerialize: (message: Buffer) => message,
	requestDeserialize: (bytes: Buffer) => bytes,
	// StreamAccessLogsResponse has no fields.
	responseSerialize: () => Buffer.alloc(0),
	responseDeserialize: (bytes: Buffer) => bytes,
	responseStream: false,
} as const;

const SERVICE = {
	streamAccessLogs: {
		...BYTES,
		path: "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs",
		requestStream: true,
	},
	report: { ...BYTES, path: ENVOY_REPORT_PATH, requestStream: false },
} as const;

/** Receives the entries. */
export interface EntrySink {
	/**
	 * `receivedMs`: when its message arrived, by the store's clock. The message's bytes may be kept. `gateway`: the
	 * stream's Gateway, by qualified name; null = not named by its Envoy.
	 */
	offer(entry: AccessLogEntry, receivedMs: number, gateway: string | null): void;
	/** A message that could not be decoded. */
	broken(): void;
	/** An entry with numbers that no Envoy writes; its route may be any. */
	impossible(entry: AccessLogEntry): void;
	/** A stream or a report was refused; none of its entries was accepted. */
	refused(fault: StreamFault, peer: StreamPeer): void;
	/** A stream sent its first message. */
	opened(peer: StreamPeer, gateway: string | null, receivedMs: number): void;
	/** An Envoy's connection broke: entries since then may be lost. */
	broke(fromMs: number, peer: StreamPeer, gateway: string | null): void;
	/** An Envoy on another machine reports dropped entries. */
	undelivered(entries: number, sinceMs: number, peer: StreamPeer): void;
	/** A TLS handshake on the TCP server failed. */
	handshakeFailed(fault: HandshakeFault): void;
}

export type AccessLogCall = ServerReadableStream<Buffer, void> | ServerUnaryCall<Buffer, void>;

/** A TCP listener with mTLS. */
export interface AccessLogTcp {
	readonly address: string;
	/** 0 = any. */
	readonly port: number;
	readonly tls: MutualTls;
	readonly admitPeers: AdmitPeers;
	/** SPIFFE id of the caller's verified certificate; null = it proves none. */
	readonly peer: (call: AccessLogCall) => string | null;
	readonly trust: StreamTrust;
}

export interface AccessLogServer {
	close(): Promise<void>;
}

/** Listens on the socket path. Throws `already-exists` if another process listens there. */
export async function serveAccessLog(
	socketPath: string,
	sink: EntrySink,
	clock: () => number,
	log: Log,
): Promise<AccessLogServer> {
	await claimSocket(socketPath);
	const owner = { kind: "owner" } as const;
	const connections = connectionsOf(sink, clock);
	const server = serverOf(() => owner, null, sink, clock, log, connections);
	await bind(server, `unix:${socketPath}`);
	await restrictSocket(socketPath);
	return closable(server, connections);
}

/**
 * Listens on TCP.
 * @throws WeirError `invalid-argument` if the listener would accept clients without a certificate, `unavailable` if it
 * cannot listen
 */
export async function serveAccessLogTcp(
	{ address, port, tls, admitPeers, peer, trust }: AccessLogTcp,
	sink: EntrySink,
	clock: () => number,
	log: Log,
): Promise<AccessLogServer & { readonly port: number }> {
	if (tls.options.requestCert !== true || tls.options.rejectUnauthorized === false) {
		throw new WeirError("invalid-argument", "the access log is taken over mTLS only", "demand client certificates");
	}
	const who = (call: AccessLogCall): StreamPeer => {
		const id = peer(call);
		return id === null ? null : { kind: "spiffe", id };
	};
	const connections = connectionsOf(sink, clock);
	const server = serverOf(who, trust, sink, clock, log, connections);
	boundStreams(server, (id) => sink.refused("too-many", id === null ? null : { kind: "spiffe", id }));
	const { injectConnection } = server.createConnectionInjector(ServerCredentials.createInsecure());
	try {
		const admitted = admitting(
			{ tls, admitPeers },
			(id) => envoyName(id, trust.trustDomain) !== null,
			(id) => (id === null ? sink.refused("no-identity", null) : sink.refused("not-an-envoy", { kind: "spiffe", id })),
		);
		const listener = await listenHttp2(
			{
				host: address,
				port,
				tls: admitted,
				connections: XDS_CONNECTIONS_MAX,
				onHandshakeFault: (fault) => sink.handshakeFailed(fault),
				onOld: (socket) => connections.end(socket),
			},
			injectConnection,
		);
		const { close } = closable(server, connections);
		return {
			port: listener.port,
			close: () => {
				listener.close();
				return close();
			},
		};
	} catch (error) {
		server.forceShutdown();
		throw new WeirError("unavailable", `cannot listen on ${address}:${port}`, "", { cause: error });
	}
}

const connectionsOf = (sink: EntrySink, clock: () => number): EnvoyConnections =>
	new EnvoyConnections({ clock, broke: (fromMs, { peer, gateway }) => sink.broke(fromMs, peer, gateway) });

/** Stops without a graceful end, which would never finish: Envoy keeps its stream open, and reconnects elsewhere. */
const closable = (server: Server, connections: EnvoyConnections): AccessLogServer => ({
	close: async () => {
		await connections.close();
		server.forceShutdown();
	},
});

function bind(server: Server, address: string): Promise<void> {
	return new Promise((resolve, reject) => {
		server.bindAsync(address, ServerCredentials.createInsecure(), (error) => {
			if (error === null) resolve();
			else reject(new WeirError("unavailable", `cannot listen on ${address}`, "", { cause: error }));
		});
	});
}

/** @param trust null = only the owner can connect, no further checks */
function serverOf(
	peerOf: (call: AccessLogCall) => StreamPeer,
	trust: StreamTrust | null,
	sink: EntrySink,
	clock: () => number,
	log: Log,
	connections: EnvoyConnections,
): Server {
	const server = new Server({
		"grpc.max_receive_message_length": ACCESS_LOG_MESSAGE_BYTES_MAX,
		"grpc.max_concurrent_streams": ACCESS_LOG_STREAMS_MAX,
	});
	widen(server);
	server.addService(SERVICE, {
		streamAccessLogs(stream: ServerReadableStream<Buffer, void>, answer: sendUnaryData<void>) {
			const peer = peerOf(stream);
			let claimed: StreamIdentifier | null = null;
			let judged = false;
			let refused = false;
			let reported = false;
			const own = connections.opened(rawStreamOf(stream), peer);
			const refuse = (fault: StreamFault): void => {
				refused = true;
				own.whole = true;
				sink.refused(fault, peer);
				answer({ code: grpcStatus.PERMISSION_DENIED, details: `this access log is refused: ${fault}` });
			};
			/** Identifier from the first message; later messages have none. */
			const judge = (message: Buffer, receivedMs: number): void => {
				judged = true;
				claimed = decodeIdentifier(message);
				own.nodeId = claimed?.nodeId ?? null;
				own.instance = claimed?.instance ?? null;
				own.gateway = claimed === null ? null : gatewayOfLogName(claimed.logName);
				const fault = trust === null ? null : streamFault(peer, claimed, trust);
				if (fault === null) sink.opened(peer, own.gateway, receivedMs);
				else refuse(fault);
			};
			const leaveOut = (entry: AccessLogEntry, fault: EntryFault): void => {
				sink.impossible(entry);
				if (reported) return;
				reported = true;
				log.error("an Envoy's access-log entries have impossible numbers and are left out", {
					number: fault,
					...{ envoy: peer?.kind === "spiffe" ? peer.id : "", gateway: own.gateway ?? "" },
				});
			};
			// Refused whatever its identifier claims.
			const unproved = trust === null ? null : streamFault(peer, null, trust);
			if (unproved !== null && unproved !== "other-node") refuse(unproved);
			stream.on("data", (message: Buffer) => {
				if (refused) return;
				const receivedMs = clock();
				try {
					if (!judged) judge(message, receivedMs);
					if (refused) return;
					own.heard();
					decodeMessage(message, (entry) => {
						const fault = entryFault(entry, receivedMs);
						if (fault === null) sink.offer(entry, receivedMs, own.gateway);
						else leaveOut(entry, fault);
					});
				} catch (thrown) {
					// Messages before authorisation do not count.
					if (claimed === null && trust !== null) {
						refuse("other-node");
						return;
					}
					sink.broken();
					log.error("an access-log message cannot be decoded", { error: String(thrown) });
				}
			});
			stream.on("end", () => {
				own.ended();
				if (!refused && !own.answered) answer(null, undefined);
			});
			// An Envoy that stops resets its stream; what it sent is kept.
			stream.on("error", () => undefined);
		},
		report(call: ServerUnaryCall<Buffer, void>, answer: sendUnaryData<void>) {
			const nowMs = clock();
			const peer = peerOf(call);
			const report = readEnvoyReport(call.request);
			const fault = trust === null ? null : nodeFault(peer, report?.node ?? null, trust);
			if (fault !== null) sink.refused(fault, peer);
			if (fault !== null || report === null) {
				answer({ code: grpcStatus.PERMISSION_DENIED, details: `this report is refused: ${fault ?? "it is invalid"}` });
				return;
			}
			const { node, instance, dropped, drained } = report;
			if (dropped !== null) sink.undelivered(dropped.entries, nowMs - dropped.sinceAgoMs, peer);
			const answered = (): void => answer(null, undefined);
			if (drained) void connections.drained(peer, node, instance).then(answered);
			else answered();
		},
	});
	return server;
}

/**
 * Enlarges the HTTP/2 window. A busy Envoy reads window updates once per event loop; with the default of 64 KiB it sends a
 * few entries each time and drops the others. grpc-js has no option for a server's window; a test checks that this works.
 */
function widen(server: Server): void {
	const own = server as unknown as { readonly commonServerOptions: { settings?: Settings } };
	const { commonServerOptions } = own;
	commonServerOptions.settings = { ...commonServerOptions.settings, initialWindowSize: ACCESS_LOG_WINDOW_BYTES };
	onSession(server, (session) => session.setLocalWindowSize(ACCESS_LOG_WINDOW_BYTES));
}
