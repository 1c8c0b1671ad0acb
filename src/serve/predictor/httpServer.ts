/**
 * The predictor's HTTP server. With an identity it requires mTLS and closes connections of other peers than its clients
 * before HTTP is read. Only Envoys have client ids, so every request came through the mesh. Without an identity it is plain
 * HTTP for the loopback (development).
 */
import { createServer, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { SecureContextOptions, TLSSocket } from "node:tls";
import { PREDICTOR_CONNECTIONS_MAX } from "../../limits/index.js";
import { limitConnections } from "../../trust/tls/connectionLimits.js";
import type { HandshakeFault } from "../../trust/tls/handshake.js";
import { TLS_OPTIONS } from "../../trust/tls/tls.js";
import { type ClientRule, isClient } from "./clients.js";
import type { Log, Meter, ServerIdentity } from "./ports.js";

/**
 * Idle timeout of the predictor: above Envoy's upstream idle timeout (1 h), so that Envoy closes first and loses no
 * request.
 */
const PREDICTOR_IDLE_MS = 3_660_000;

/** At most one log line in this time about refused connections; all are counted. */
const PREDICTOR_REFUSAL_LOG_MS = 10_000;

export interface HttpServerOptions {
	/** null = plain HTTP. */
	readonly guard: Guard | null;
	/** Also gets requests with `Expect: 100-continue`, and must send it. */
	readonly handle: RequestListener;
	readonly meter: Meter | undefined;
	readonly log: Log | undefined;
	readonly nowMs: () => number;
}

export interface Guard {
	readonly identity: ServerIdentity;
	readonly clients: readonly ClientRule[];
}

export interface HttpServer {
	readonly server: Server;
	/** Stops the certificate rotation. */
	close(): void;
}

/**
 * Node starts headersTimeout when the connection opens, and Envoy preconnects: with a short timeout the first request would
 * get 408. requestTimeout is off because body.ts limits the time of bodies.
 */
const TIMES = {
	keepAliveTimeout: PREDICTOR_IDLE_MS,
	headersTimeout: PREDICTOR_IDLE_MS,
	requestTimeout: 0,
} as const;

export function createHttpServer(options: HttpServerOptions): HttpServer {
	if (options.guard === null) {
		const server = createServer(TIMES, options.handle);
		handleExpectContinue(server);
		return { server, close: () => {} };
	}
	return guarded(options, options.guard);
}

/** Handles requests with `Expect: 100-continue` like others, so that they are counted. */
function handleExpectContinue(server: Server): void {
	server.on("checkContinue", (request, response) => void server.emit("request", request, response));
}

/** Why a connection was refused. */
type Reason = HandshakeFault | "no-svid" | "not-a-client";

function guarded({ handle, meter, log, nowMs }: HttpServerOptions, { identity, clients }: Guard): HttpServer {
	const refused = refusals(meter, log, nowMs);
	const take: RequestListener = (request, response) => {
		if (connections.leftMs(request.socket) <= 0) {
			refused("certificate-ended");
			request.socket.destroy();
			return;
		}
		// The client reconnects with its newer certificate, and no request fails.
		if (connections.isOld(request.socket)) response.setHeader("connection", "close");
		handle(request, response);
	};
	const server = createTlsServer(
		{
			...secureContext(identity),
			requestCert: true,
			rejectUnauthorized: true,
			ALPNProtocols: ["http/1.1"],
			...TIMES,
		},
		take,
	);
	handleExpectContinue(server);
	const connections = limitConnections(server, {
		connections: PREDICTOR_CONNECTIONS_MAX,
		nowMs,
		onHandshakeFault: (fault) => refused(fault),
	});
	// Before the HTTP listener, so that bytes of a refused peer are not parsed.
	server.prependListener("secureConnection", (socket: TLSSocket) => {
		const certificate = socket.getPeerX509Certificate();
		const id = certificate === undefined ? null : identity.idOf(certificate.raw);
		if (certificate === undefined || id === null) {
			refused("no-svid");
			socket.destroy();
		} else if (!isClient(clients, id)) {
			refused("not-a-client", id);
			socket.destroy();
		}
	});
	server.on("tlsClientError", (_, socket) => socket.destroy());
	const stop = identity.onRotated(() => server.setSecureContext(secureContext(identity)));
	return { server, close: stop };
}

function secureContext(identity: ServerIdentity): SecureContextOptions {
	const { certificate, privateKey, trustBundle } = identity.current();
	return {
		cert: certificate,
		key: privateKey,
		ca: trustBundle,
		...TLS_OPTIONS,
	};
}

/** Counts every refusal. Logs at a limited rate, because unauthenticated clients can cause them. */
function refusals(meter: Meter | undefined, log: Log | undefined, nowMs: () => number) {
	let loggedAtMs = Number.NEGATIVE_INFINITY;
	return (reason: Reason, id?: string): void => {
		meter?.count("weir_predictor_connections_refused_total", "Connections of none of its clients, by reason.", {
			reason,
		});
		if (nowMs() - loggedAtMs < PREDICTOR_REFUSAL_LOG_MS) return;
		loggedAtMs = nowMs();
		log?.warn("a connection was refused", { reason, ...(id === undefined ? {} : { id }) });
	};
}
