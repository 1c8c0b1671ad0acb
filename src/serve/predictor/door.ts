/**
 * The predictor's door. With an identity it is mTLS and nothing else: a connection whose peer has not proved one of the
 * client ids is ended before a byte of HTTP is read. That is the proof that a request came through the mesh, for only
 * Envoys have those ids. Without one it is plain HTTP for the loopback (development).
 */
import { createServer, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { SecureContextOptions, TLSSocket } from "node:tls";
import { PREDICTOR_CONNECTIONS_MAX, PREDICTOR_IDLE_MS, PREDICTOR_REFUSAL_LOG_MS } from "../../limits/index.js";
import type { HandshakeFault } from "../../trust/tls/handshake.js";
import { PROVED_EACH_TIME } from "../../trust/tls/tls.js";
import { boundConnections } from "../../trust/tls/tlsDoor.js";
import { type ClientRule, isClient } from "./clients.js";
import type { DoorIdentity, Log, Meter } from "./ports.js";

export interface DoorOptions {
	/** null = plain HTTP. */
	readonly guard: Guard | null;
	/** Requests with `Expect: 100-continue` too: it is answered where the body is wanted. */
	readonly handle: RequestListener;
	readonly meter: Meter | undefined;
	readonly log: Log | undefined;
	readonly nowMs: () => number;
}

export interface Guard {
	readonly identity: DoorIdentity;
	readonly clients: readonly ClientRule[];
}

export interface Door {
	readonly server: Server;
	/** Takes no more rotations. */
	close(): void;
}

/**
 * A connection's times. Node counts the first head's from the opening on, and Envoy opens some that it does not need yet (the
 * request went over one that came free): the first request there would meet Node's 408. Envoys send heads in one piece. A
 * body's time depends on how it comes (body.ts): Node's bound on whole requests would end slow ones, without a word.
 */
const TIMES = {
	keepAliveTimeout: PREDICTOR_IDLE_MS,
	headersTimeout: PREDICTOR_IDLE_MS,
	requestTimeout: 0,
} as const;

export function createDoor(options: DoorOptions): Door {
	if (options.guard === null) {
		const server = createServer(TIMES, options.handle);
		asRequests(server);
		return { server, close: () => {} };
	}
	return guarded(options, options.guard);
}

/** Those with `Expect: 100-continue` too: who counts requests must see them. */
function asRequests(server: Server): void {
	server.on("checkContinue", (request, response) => void server.emit("request", request, response));
}

/** Why a connection was refused. */
type Reason = HandshakeFault | "no-svid" | "not-a-client";

function guarded({ handle, meter, log, nowMs }: DoorOptions, { identity, clients }: Guard): Door {
	const refused = refusals(meter, log, nowMs);
	const take: RequestListener = (request, response) => {
		if (connections.leftMs(request.socket) <= 0) {
			refused("certificate-ended");
			request.socket.destroy();
			return;
		}
		// The peer has a newer certificate by now: its next connection shows it, and no request fails.
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
	asRequests(server);
	const connections = boundConnections(server, {
		connections: PREDICTOR_CONNECTIONS_MAX,
		nowMs,
		onHandshakeFault: (fault) => refused(fault),
	});
	// Before HTTP's own listener: a refused peer's bytes are not parsed.
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

function secureContext(identity: DoorIdentity): SecureContextOptions {
	const { certificate, privateKey, trustBundle } = identity.current();
	return {
		cert: certificate,
		key: privateKey,
		ca: trustBundle,
		...PROVED_EACH_TIME,
	};
}

/** Counts every refusal; says one at a time, for a stranger must not fill the log. */
function refusals(meter: Meter | undefined, log: Log | undefined, nowMs: () => number) {
	let saidAtMs = Number.NEGATIVE_INFINITY;
	return (reason: Reason, id?: string): void => {
		meter?.count("weir_predictor_connections_refused_total", "Connections of none of its clients, by reason.", {
			reason,
		});
		if (nowMs() - saidAtMs < PREDICTOR_REFUSAL_LOG_MS) return;
		saidAtMs = nowMs();
		log?.warn("a connection was refused", { reason, ...(id === undefined ? {} : { id }) });
	};
}
