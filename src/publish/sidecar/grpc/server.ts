/**
 * A gRPC server on node:http2 (grpc/grpc doc/PROTOCOL-HTTP2.md) for the sidecar's methods and gRPC health, without reflection
 * and compression. It listens on a UNIX socket of the own user, or on TCP with mTLS. A call is answered in the turn of the
 * event loop in which it arrives, shed, or waits for a promised reply.
 */
import cluster from "node:cluster";
import {
	createSecureServer,
	createServer,
	type Http2SecureServer,
	type Http2Server,
	type IncomingHttpHeaders,
	type ServerHttp2Stream,
	type ServerOptions,
} from "node:http2";
import type { AddressInfo } from "node:net";
import { performance } from "node:perf_hooks";
import type { TlsOptions } from "node:tls";
import { WeirError } from "../../../error.js";
import { CALLOUT_WINDOW_BYTES } from "../../../limits/index.js";
import { claimSocket, restrictSocket } from "../../../trust/local/socket.js";
import { limitConnections } from "../../../trust/tls/connectionLimits.js";
import type { Shared } from "./call.js";
import { deadlineMs } from "./deadline.js";
import { PartialBytes } from "./framing.js";
import { HEALTH_CHECK, type Health } from "./health.js";
import { type GrpcCounters, NO_COUNTERS } from "./ports.js";
import { endWithoutMessage, refuseHttp } from "./response.js";
import { GRPC, type GrpcCode, GrpcFailure, type Methods } from "./service.js";
import { Sessions } from "./sessions.js";
import { StreamCall } from "./streamCall.js";
import { Turn } from "./turn.js";
import { UnaryCall } from "./unaryCall.js";

/** Open calls on one connection to the sidecar. An Envoy that needs more opens another connection. */
export const CALLOUT_STREAMS_MAX = 1_024;

/** Connections to the sidecar: Envoy opens one per worker thread and cluster, and more only beyond CALLOUT_STREAMS_MAX. */
export const CALLOUT_CONNECTIONS_MAX = 1_024;

/**
 * Longest time in one iteration of the event loop that answers calls; the sidecar sheds the rest. Half of
 * CALLOUT_TIMEOUT_MS.
 */
const CALLOUT_QUEUE_MS_MAX = 100;

/**
 * Longest gap between two messages that counts as queueing. A longer gap is a pause of the process (scheduling, garbage
 * collection).
 */
export const CALLOUT_GAP_MS = 20;

/** Interval of HTTP/2 PINGs on a connection to the sidecar; it is closed if one is not answered before the next. */
const CALLOUT_PING_MS = 10_000;

/** Request headers (gRPC metadata) of one call to the sidecar. The checked request is in the message, not here. */
const CALLOUT_METADATA_BYTES_MAX = 64 * 1024;

/** HTTP/2 memory of one connection in MB (Node's maxSessionMemory): CALLOUT_STREAMS_MAX calls with a few KB each. */
const CALLOUT_CONNECTION_MEMORY_MB = 32;

/**
 * RST_STREAM frames accepted on one connection, where Node can set it (22 and later). Node's default of 1,000 and 33 is
 * too low: the local Envoy resets every ext_proc stream by default.
 */
const CALLOUT_RESETS = { burst: 100_000, perSecond: 50_000 } as const;

export type GrpcAddress = { readonly socketPath: string } | { readonly host: string; readonly port: number };

/** The mTLS settings of the server. */
export interface GrpcTls {
	readonly options: TlsOptions;
	/** Called once before the server listens: keeps its certificate current and closes unauthorized connections. @returns stops it */
	readonly guard: (server: Http2SecureServer) => () => void;
	/** Whether a proxy forwarded the call; then it is refused. */
	readonly isForwarded: (headers: IncomingHttpHeaders) => boolean;
}

export interface GrpcServerOptions {
	readonly listen: GrpcAddress;
	/** Required for TCP; not used for a UNIX socket. */
	readonly tls?: GrpcTls | undefined;
	readonly methods: Methods;
	readonly health: Health;
	readonly counters?: GrpcCounters | undefined;
	/** Other limits, and the clock of the queue, for tests. */
	readonly limits?: { readonly queueMs?: number; readonly pingMs?: number; readonly nowMs?: () => number } | undefined;
}

export interface GrpcServer {
	/** The listening address, with the actual port instead of 0. */
	readonly address: GrpcAddress;
	/** Open calls. */
	streams(): number;
	/**
	 * Stops listening, sends GOAWAY, ends streams that have had a reply with OK, and lets other calls finish. After `graceMs`
	 * ends the rest with UNAVAILABLE and closes the connections.
	 */
	drain(graceMs: number): Promise<void>;
	/** Closes all connections at once. */
	close(): Promise<void>;
}

/** Node 22 and later take them; Node 20 ignores them. */
type ResetOptions = { readonly streamResetBurst: number; readonly streamResetRate: number };

const OPTIONS: ServerOptions & ResetOptions = {
	settings: {
		initialWindowSize: CALLOUT_WINDOW_BYTES.stream,
		maxConcurrentStreams: CALLOUT_STREAMS_MAX,
		maxHeaderListSize: CALLOUT_METADATA_BYTES_MAX,
		enablePush: false,
	},
	maxSessionMemory: CALLOUT_CONNECTION_MEMORY_MB,
	streamResetBurst: CALLOUT_RESETS.burst,
	streamResetRate: CALLOUT_RESETS.perSecond,
};

const MALFORMED_TIMEOUT = new GrpcFailure(GRPC.INTERNAL, "malformed grpc-timeout");
const ENDED = new GrpcFailure(GRPC.PERMISSION_DENIED, "the certificate of the connection has ended");
const FORWARDED = new GrpcFailure(GRPC.PERMISSION_DENIED, "a proxy forwarded the call");
const UNKNOWN_METHOD = new GrpcFailure(GRPC.UNIMPLEMENTED, "unknown method");

/**
 * @throws WeirError `invalid-argument` for TCP without TLS, `already-exists` or `unavailable` if it cannot listen
 */
export async function startGrpcServer(options: GrpcServerOptions): Promise<GrpcServer> {
	const server = new Server(options);
	await server.listen(options.listen);
	return server;
}

class Server implements GrpcServer {
	address: GrpcAddress;
	readonly #http: Http2Server | Http2SecureServer;
	readonly #unguard: () => void;
	readonly #served: Methods;
	readonly #counters: GrpcCounters;
	readonly #shared: Shared;
	readonly #sessions: Sessions;
	readonly #isForwarded: GrpcTls["isForwarded"];

	constructor({ listen, tls, methods, health, counters, limits }: GrpcServerOptions) {
		if ("host" in listen && tls === undefined) {
			throw new WeirError(
				"invalid-argument",
				"the sidecar listens on TCP only with mutual TLS",
				"name the socket of an identity agent (--identity), or use a UNIX socket",
			);
		}
		this.address = listen;
		this.#counters = counters ?? NO_COUNTERS;
		this.#shared = {
			turn: new Turn(limits?.queueMs ?? CALLOUT_QUEUE_MS_MAX, CALLOUT_GAP_MS, limits?.nowMs),
			partial: new PartialBytes(),
			counters: this.#counters,
			open: 0,
			waiting: 0,
			idle: () => {},
			stopped: new Set(),
			draining: false,
		};
		this.#served = new Map([
			...methods,
			[HEALTH_CHECK, { kind: "unary", handle: (message: Buffer) => health.check(message) } as const],
		]);
		if (tls === undefined || !("host" in listen)) {
			this.#http = createServer(OPTIONS);
			this.#http.maxConnections = CALLOUT_CONNECTIONS_MAX;
			this.#unguard = () => {};
			this.#isForwarded = () => false;
		} else {
			this.#isForwarded = tls.isForwarded;
			const secure = createSecureServer({ ...OPTIONS, ...tls.options, allowHTTP1: false });
			limitConnections(secure, {
				connections: CALLOUT_CONNECTIONS_MAX,
				onHandshakeFault: (fault) => this.#counters.failedHandshake(fault),
			});
			this.#unguard = tls.guard(secure);
			this.#http = secure;
			secure.on("tlsClientError", (error) => this.#counters.brokeConnection(error));
			secure.on("unknownProtocol", (socket) => socket.destroy());
		}
		this.#sessions = new Sessions(this.#http, this.#counters, limits?.pingMs ?? CALLOUT_PING_MS);
		this.#http.on("stream", (stream, headers) => this.#called(stream, headers));
	}

	async listen(address: GrpcAddress): Promise<void> {
		if ("socketPath" in address) {
			// Cluster workers share the socket, which the primary has claimed.
			if (!cluster.isWorker) await claimSocket(address.socketPath);
			await this.#bind({ path: address.socketPath });
			await restrictSocket(address.socketPath);
			return;
		}
		const { host, port } = address;
		await this.#bind({ host, port });
		this.address = { host, port: (this.#http.address() as AddressInfo).port };
	}

	streams(): number {
		return this.#shared.open;
	}

	async drain(graceMs: number): Promise<void> {
		const closed = this.#stopListening();
		let cut: NodeJS.Timeout | undefined;
		const grace = new Promise<void>((resolve) => {
			cut = setTimeout(resolve, graceMs);
		});
		await Promise.race([grace, this.#finishCalls()]);
		clearTimeout(cut);
		if (this.#shared.stopped.size > 0) {
			for (const call of this.#shared.stopped) call.giveUp();
			// Trailers need two immediates (response.ts).
			for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
		}
		this.#sessions.cut();
		await closed;
	}

	async close(): Promise<void> {
		const closed = this.#stopListening();
		this.#sessions.cut();
		await closed;
	}

	#bind(where: { path: string } | { host: string; port: number }): Promise<void> {
		return new Promise((resolve, reject) => {
			const failed = (error: NodeJS.ErrnoException): void => {
				const code = error.code === "EADDRINUSE" ? "already-exists" : "unavailable";
				reject(new WeirError(code, `the sidecar cannot listen: ${error.message}`, "", { cause: error }));
			};
			this.#http.once("error", failed);
			this.#http.listen(where, () => {
				this.#http.off("error", failed);
				// Accepting may fail later (no file descriptors left); the server continues.
				this.#http.on("error", (error) => this.#counters.brokeConnection(error));
				resolve();
			});
		});
	}

	/** Resolves when all connections are closed. */
	#stopListening(): Promise<void> {
		this.#sessions.stopPings();
		this.#unguard();
		return new Promise((resolve) => this.#http.close(() => resolve()));
	}

	/** Sends GOAWAY to all peers and resolves when the open calls have ended. */
	async #finishCalls(): Promise<void> {
		this.#sessions.goAway();
		this.#shared.draining = true;
		for (const call of this.#shared.stopped) call.release();
		if (this.#shared.open > 0) {
			await new Promise<void>((resolve) => {
				this.#shared.idle = resolve;
			});
		}
		// The last writes leave the process in an immediate.
		await new Promise((resolve) => setImmediate(resolve));
	}

	#called(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
		if (stream.destroyed || stream.closed) return;
		const path = headers[":path"] ?? "";
		if (headers[":method"] !== "POST") {
			this.#refused(stream, 405);
			return;
		}
		if (!isGrpc(headers["content-type"])) {
			this.#refused(stream, 415);
			return;
		}
		if (this.#sessions.hasEnded(stream.session)) {
			this.#failed(stream, "unknown", ENDED);
			return;
		}
		if (this.#isForwarded(headers)) {
			this.#failed(stream, "unknown", FORWARDED);
			return;
		}
		const method = this.#served.get(path);
		if (method === undefined) {
			this.#failed(stream, "unknown", UNKNOWN_METHOD);
			return;
		}
		const timeout = headers["grpc-timeout"];
		const untilMs = timeout === undefined ? Number.POSITIVE_INFINITY : deadlineMs(timeout, performance.now());
		if (untilMs === null) {
			this.#failed(stream, path, MALFORMED_TIMEOUT);
			return;
		}
		if (method.kind === "unary") {
			new UnaryCall(stream, path, this.#shared, method, headers, untilMs).start();
		} else {
			new StreamCall(stream, path, this.#shared, method, headers, untilMs).start();
		}
	}

	#refused(stream: ServerHttp2Stream, status: 405 | 415): void {
		dropInput(stream);
		this.#counters.ended("unknown", GRPC.UNKNOWN);
		refuseHttp(stream, status);
	}

	#failed(stream: ServerHttp2Stream, path: string, failure: GrpcFailure): void {
		dropInput(stream);
		this.#counters.ended(path, failure.code satisfies GrpcCode);
		endWithoutMessage(stream, failure, stream.endAfterHeaders);
	}
}

/** application/grpc with any message format or parameter; the bytes are always read as protobuf. */
function isGrpc(contentType: string | undefined): boolean {
	return (
		contentType === "application/grpc" || (contentType !== undefined && /^application\/grpc[+;]/.test(contentType))
	);
}

/** Discards the input of a stream without a call. */
function dropInput(stream: ServerHttp2Stream): void {
	stream.on("error", () => {});
	stream.resume();
}
