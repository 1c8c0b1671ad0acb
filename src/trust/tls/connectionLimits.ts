/**
 * Connection limits of TLS servers. Unauthenticated connections are few and closed after seconds, so silent ones cannot
 * block clients. An authenticated connection ends no later than its certificate. When the server is full, the client with
 * the most connections loses one.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { Server as HttpsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { createServer, type Server, type TLSSocket, type TlsOptions } from "node:tls";
import { onlyWorkloadId } from "../../declare/resources/spiffe.js";
import { PEER_RENEWAL_MS, PEER_RENEWAL_SHARE } from "../../limits/index.js";
import { type HandshakeFault, handshakeFault } from "./handshake.js";

/** Unauthenticated connections of one listener. Beyond it the oldest is closed, first of the address that has the most. */
export const UNAUTHENTICATED_CONNECTIONS_MAX = 1_024;

/** Timeout of a TLS handshake: three packets, on a slow line or a busy process. */
export const UNAUTHENTICATED_CONNECTION_MS = 5_000;

/** How often a listener checks for expired connections. */
export const CONNECTIONS_CHECK_MS = 1_000;

/** Idle time before a connection with an expiring certificate is closed, so that it is not closed between two requests. */
export const CONNECTION_QUIET_MS = 100;

export interface ConnectionLimits {
	/** Maximum of authenticated connections. Beyond it, the client with the most connections loses one. */
	readonly connections: number;
	/** Called for each connection that was closed for that reason. */
	readonly onFull?: (client: LargestClient) => void;
	/** Called for each failed handshake. Unauthenticated clients can cause any number of calls. Must not throw. */
	readonly onHandshakeFault?: (fault: HandshakeFault) => void;
	/** `certificate` (default): by a verified client certificate. `request`: also by a call of `prove`. */
	readonly authenticatedBy?: "certificate" | "request";
	/** Closes a connection when its certificate ends, even during a request: for calls that never end. */
	readonly cutAtEnd?: boolean;
	/** Called once when a connection becomes old, so that the server can end it gracefully. Must not throw. */
	readonly onOld?: (socket: TLSSocket) => void;
	/** How long an HTTP/1 connection may stay without a first request; default unlimited, because Envoy preconnects. */
	readonly unaskedMs?: number;
	readonly nowMs?: () => number;
}

/** SPIFFE id of the verified certificate of a connection's peer; null = it has none. */
export const certifiedId = (socket: TLSSocket): string | null =>
	(socket.authorized && onlyWorkloadId(socket.getPeerX509Certificate()?.subjectAltName)) || null;

/** The client with the most connections on a full server. */
export interface LargestClient {
	/** SPIFFE id of the certificate, or the id given to `prove`; null = only the address is known. */
	readonly id: string | null;
	readonly held: number;
	readonly most: number;
}

export interface LimitedConnections {
	/** Marks the peer as authenticated by something other than a certificate. */
	prove(socket: Socket, id: string): void;
	/** Milliseconds until the peer's certificate ends; 0 or less = it has ended. */
	leftMs(socket: Socket): number;
	/** The authenticated id; null = unauthenticated, or a certificate without a SPIFFE id. */
	idOf(socket: Socket): string | null;
	/** Whether the peer should reconnect with a newer certificate. */
	isOld(socket: Socket): boolean;
}

/** When a connection's certificate ends and when the connection becomes old; infinite without a verified certificate. */
export interface ProofTimes {
	readonly endsAtMs: number;
	readonly oldAtMs: number;
}

/** The times of a connection that opens now. */
export function proofTimes(socket: TLSSocket, nowMs: number): ProofTimes {
	const certificate = socket.authorized ? socket.getPeerX509Certificate() : undefined;
	if (certificate === undefined) return { endsAtMs: Number.POSITIVE_INFINITY, oldAtMs: Number.POSITIVE_INFINITY };
	const endsAtMs = Date.parse(certificate.validTo);
	return { endsAtMs, oldAtMs: endsAtMs - Math.min(PEER_RENEWAL_MS, (endsAtMs - nowMs) * PEER_RENEWAL_SHARE) };
}

/**
 * Limits the connections of a server (tls, https, http2). Call it before the server listens. Do not set the server's
 * `maxConnections`: it also counts unauthenticated connections.
 */
export function limitConnections(server: Server, bounds: ConnectionLimits): LimitedConnections {
	return new Connections(server, bounds);
}

interface Unauthenticated {
	/** The TCP socket below TLS. */
	readonly raw: Socket;
	readonly name: string;
	readonly address: string;
	sinceMs: number;
}

/** A connection after its handshake. */
interface Peer {
	readonly socket: TLSSocket;
	readonly times: ProofTimes;
	id: string | null;
	/** Connections are counted per client: its id, else its address. */
	client: string;
	sinceMs: number;
	/** Requests in progress. null = unknown, because the protocol is not HTTP/1. */
	inProgress: number | null;
	/** When the last response ended; before the first one, when the connection opened. */
	quietSinceMs: number;
	hasRequested: boolean;
	onOldCalled: boolean;
}

/** Idle connections close this long before their certificate ends: at one of the last two sweeps. */
const ENDING_MS = 2 * CONNECTIONS_CHECK_MS;

class Connections implements LimitedConnections {
	readonly #bounds: ConnectionLimits;
	readonly #nowMs: () => number;
	readonly #unauthenticated = new Map<string, Unauthenticated>();
	/** By address, oldest first. */
	readonly #byAddress = new Map<string, Set<Unauthenticated>>();
	readonly #peers = new WeakMap<Socket, Peer>();
	readonly #authenticated = new Set<Peer>();
	/** By client, oldest first. */
	readonly #byClient = new Map<string, Set<Peer>>();
	readonly #seesRequests: boolean;

	constructor(server: Server, bounds: ConnectionLimits) {
		this.#bounds = bounds;
		this.#nowMs = bounds.nowMs ?? Date.now;
		// Before TLS and the listeners of the server itself.
		server.prependListener("connection", (raw: Socket) => this.#opened(raw));
		server.prependListener("secureConnection", (socket: TLSSocket) => this.#secured(socket));
		server.on("tlsClientError", (error, socket) => {
			const fault = handshakeFault(error, socket);
			if (fault !== null) bounds.onHandshakeFault?.(fault);
		});
		// On an HTTP/2 server a `request` listener would enable the HTTP/1 compatibility API.
		this.#seesRequests = server instanceof HttpsServer;
		if (this.#seesRequests) {
			server.prependListener("request", ({ socket }: IncomingMessage, response: ServerResponse) =>
				this.#requested(socket, response),
			);
		}
		// After a stall, setImmediate lets pending requests be read first: their connections are not idle.
		const sweeps = setInterval(() => setImmediate(() => this.#sweep()), CONNECTIONS_CHECK_MS);
		sweeps.unref();
		server.once("close", () => clearInterval(sweeps));
	}

	prove(socket: Socket, id: string): void {
		const pending = this.#unauthenticated.get(nameOf(socket) ?? "");
		const peer = this.#peers.get(socket);
		if (pending === undefined || peer === undefined) return;
		this.#removePending(pending);
		this.#add(Object.assign(peer, { id, client: id }));
	}

	leftMs(socket: Socket): number {
		return (this.#peers.get(socket)?.times.endsAtMs ?? Number.NEGATIVE_INFINITY) - this.#nowMs();
	}

	idOf(socket: Socket): string | null {
		return this.#peers.get(socket)?.id ?? null;
	}

	isOld(socket: Socket): boolean {
		return (this.#peers.get(socket)?.times.oldAtMs ?? Number.NEGATIVE_INFINITY) <= this.#nowMs();
	}

	#opened(raw: Socket): void {
		const name = nameOf(raw);
		const address = raw.remoteAddress;
		if (name === null || address === undefined) {
			// Closed already. Later, because TLS must get the socket first.
			setImmediate(() => raw.destroy());
			return;
		}
		const pending = { raw, name, address, sinceMs: performance.now() };
		this.#unauthenticated.set(name, pending);
		const siblings = this.#byAddress.get(address);
		if (siblings === undefined) this.#byAddress.set(address, new Set([pending]));
		else siblings.add(pending);
		raw.once("close", () => this.#removePending(pending));
		if (this.#unauthenticated.size > UNAUTHENTICATED_CONNECTIONS_MAX) this.#evictUnauthenticated();
	}

	#secured(socket: TLSSocket): void {
		const pending = this.#unauthenticated.get(nameOf(socket) ?? "");
		if (pending === undefined) {
			socket.destroy();
			return;
		}
		const id = certifiedId(socket);
		const peer: Peer = {
			socket,
			times: proofTimes(socket, this.#nowMs()),
			id,
			client: id ?? pending.address,
			sinceMs: performance.now(),
			inProgress: this.#seesRequests ? 0 : null,
			quietSinceMs: performance.now(),
			hasRequested: false,
			onOldCalled: false,
		};
		this.#peers.set(socket, peer);
		if (this.#bounds.authenticatedBy === "request" && !socket.authorized) {
			pending.sinceMs = performance.now();
			return;
		}
		this.#removePending(pending);
		this.#add(peer);
	}

	#requested(socket: Socket, response: ServerResponse): void {
		const peer = this.#peers.get(socket);
		if (peer === undefined || peer.inProgress === null) return;
		peer.inProgress += 1;
		peer.hasRequested = true;
		response.once("close", () => {
			if (peer.inProgress !== null) peer.inProgress -= 1;
			peer.quietSinceMs = performance.now();
		});
	}

	#add(peer: Peer): void {
		const { socket, client } = peer;
		// An earlier listener may have refused the certificate.
		if (socket.destroyed) return;
		this.#authenticated.add(peer);
		const siblings = this.#byClient.get(client);
		if (siblings === undefined) this.#byClient.set(client, new Set([peer]));
		else siblings.add(peer);
		socket.once("close", () => this.#remove(peer));
		if (this.#authenticated.size > this.#bounds.connections) this.#evict(peer);
	}

	/**
	 * Closes a connection of the client with the most: its oldest idle one; if none is idle, the newest connection if it is
	 * this client's, else this client's oldest.
	 */
	#evict(newest: Peer): void {
		const held = Math.max(...[...this.#byClient.values()].map(({ size }) => size));
		const largest = [...this.#byClient.values()].filter(({ size }) => size === held);
		const idle = largest.flatMap(
			(connections) => [...connections].find((one) => one.inProgress === 0 && one !== newest) ?? [],
		);
		const [oldest = newest] = largest[0] ?? [];
		const ended = idle[0] ?? (this.#byClient.get(newest.client)?.size === held ? newest : oldest);
		this.#remove(ended);
		ended.socket.destroy();
		this.#bounds.onFull?.({ id: ended.id, held, most: this.#bounds.connections });
	}

	#remove(peer: Peer): void {
		this.#authenticated.delete(peer);
		const siblings = this.#byClient.get(peer.client);
		siblings?.delete(peer);
		if (siblings?.size === 0) this.#byClient.delete(peer.client);
	}

	#removePending(pending: Unauthenticated): void {
		const { name, address } = pending;
		// A new connection may have the same key.
		if (this.#unauthenticated.get(name) === pending) this.#unauthenticated.delete(name);
		const siblings = this.#byAddress.get(address);
		siblings?.delete(pending);
		if (siblings?.size === 0) this.#byAddress.delete(address);
	}

	/** Closes the oldest connection of the address with the most. */
	#evictUnauthenticated(): void {
		let most: ReadonlySet<Unauthenticated> = new Set();
		for (const siblings of this.#byAddress.values()) if (siblings.size > most.size) most = siblings;
		const [oldest] = most;
		if (oldest !== undefined) this.#close(oldest);
	}

	#close(pending: Unauthenticated): void {
		this.#removePending(pending);
		pending.raw.destroy();
	}

	#sweep(): void {
		const now = performance.now();
		const { unaskedMs = Number.POSITIVE_INFINITY } = this.#bounds;
		for (const pending of [...this.#unauthenticated.values()]) {
			if (pending.sinceMs < now - UNAUTHENTICATED_CONNECTION_MS) this.#close(pending);
		}
		for (const peer of [...this.#authenticated]) {
			const leftMs = this.leftMs(peer.socket);
			const unused = !peer.hasRequested && peer.sinceMs < now - unaskedMs;
			// Closed before the certificate ends, so that no request fails for it. A busy connection may have a request on its
			// way: its next response asks the client to reconnect.
			const quiet = peer.quietSinceMs < now - CONNECTION_QUIET_MS;
			const ending = quiet && leftMs <= ENDING_MS && this.isOld(peer.socket);
			const idle = peer.inProgress === 0 && (unused || ending);
			if (idle || (this.#bounds.cutAtEnd === true && leftMs <= 0)) peer.socket.destroy();
			else if (!peer.onOldCalled && this.isOld(peer.socket)) {
				peer.onOldCalled = true;
				this.#bounds.onOld?.(peer.socket);
			}
		}
	}
}

/** Identifies an open connection of a server, the same for its TCP and TLS sockets; null = the peer has disconnected. */
export function nameOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string | null {
	if (remoteAddress === undefined || remotePort === undefined) return null;
	return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}

/** Certificate and trusted roots of a TLS server; both rotate while it is open. */
export interface MutualTls {
	/** Must demand client certificates that it verifies. */
	readonly options: TlsOptions;
	/** Keeps the server's certificate and roots current. @returns stops it */
	readonly follow: (server: Server) => () => void;
}

/**
 * An mTLS listener with connection limits for a gRPC server: passes on authenticated HTTP/2 connections, each closed when
 * its certificate ends.
 * @param port 0 = any
 * @param take the server's connection injector
 */
export async function listenHttp2(
	{
		host,
		port,
		tls,
		...bounds
	}: { host: string; port: number; tls: MutualTls } & Pick<
		ConnectionLimits,
		"connections" | "onFull" | "onHandshakeFault" | "onOld" | "nowMs"
	>,
	take: (socket: TLSSocket) => void,
): Promise<{ readonly port: number; close(): void }> {
	const server = createServer({ ...tls.options, ALPNProtocols: ["h2"] });
	limitConnections(server, { ...bounds, cutAtEnd: true });
	server.on("secureConnection", (socket) => {
		// The gRPC server has its own error listeners.
		socket.on("error", () => {});
		if (socket.destroyed) return;
		if (socket.alpnProtocol === "h2") take(socket);
		else socket.destroy();
	});
	server.on("tlsClientError", (_, socket) => socket.destroy());
	const stop = tls.follow(server);
	try {
		await new Promise<void>((resolve, reject) => {
			server.once("error", reject);
			server.listen(port, host, () => {
				server.off("error", reject);
				// Accepting may fail later (no file descriptors left); the server continues.
				server.on("error", () => {});
				resolve();
			});
		});
	} catch (thrown) {
		stop();
		throw thrown;
	}
	return {
		port: (server.address() as AddressInfo).port,
		close: () => {
			stop();
			server.close();
		},
	};
}
