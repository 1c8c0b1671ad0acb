/**
 * Who holds connections of a TLS door, and for how long. A connection counts as its peer's once the peer has proved who it
 * is: until then it is one of a bounded number, gone after seconds, so that silent ones shut nobody out; and it counts no
 * longer than the certificate that proved it. Nor does one peer keep others out: where a door is full, a connection of
 * whoever holds the most makes room. For all TCP doors between parts, whatever speaks behind them.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { Server as HttpsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { createServer, type Server, type TLSSocket, type TlsOptions } from "node:tls";
import { onlyWorkloadId } from "../../declare/resources/spiffe.js";
import {
	CONNECTION_QUIET_MS,
	CONNECTIONS_CHECK_MS,
	PEER_RENEWAL_MS,
	PEER_RENEWAL_SHARE,
	UNAUTHENTICATED_CONNECTION_MS,
	UNAUTHENTICATED_CONNECTIONS_MAX,
} from "../../limits/index.js";
import { type HandshakeFault, handshakeFault } from "./handshake.js";

export interface DoorBounds {
	/** Connections of peers that have proved who they are; beyond it one of whoever holds the most is ended. */
	readonly connections: number;
	/** Told of each connection that was ended for that. */
	readonly onCrowded?: (crowd: Crowd) => void;
	/** Told of each handshake that failed for what the peer said; it comes from anybody, as often as they like. Must not throw. */
	readonly onHandshakeFault?: (fault: HandshakeFault) => void;
	/** `certificate` (by default): a verified client certificate is the proof. `request`: without one, `prove` says so. */
	readonly provedBy?: "certificate" | "request";
	/** A connection is cut at its certificate's end whatever goes on in it: for calls that never end. */
	readonly cutAtEnd?: boolean;
	/** Told once of a connection that is old: who speaks behind the door may end it in order before it is cut. Must not throw. */
	readonly onOld?: (socket: TLSSocket) => void;
	/** Told of each proved connection that this door ends now. Must not throw. */
	readonly onCut?: (socket: TLSSocket) => void;
	/** How long a peer may ask nothing, of a server of HTTP/1; left out = no time of this door's: Envoy keeps some at hand. */
	readonly unaskedMs?: number;
	readonly nowMs?: () => number;
}

/** SPIFFE id of the verified certificate of a connection's peer; null = it has none. */
export const certifiedId = (socket: TLSSocket): string | null =>
	(socket.authorized && onlyWorkloadId(socket.getPeerX509Certificate()?.subjectAltName)) || null;

/** Who held the most connections of a door that was full, and how many. */
export interface Crowd {
	/** SPIFFE id of the certificate, or what the peer has proved itself by otherwise; null = only its address is known. */
	readonly id: string | null;
	readonly held: number;
	readonly most: number;
}

export interface DoorConnections {
	/** The peer has proved who it is by something else than a certificate. */
	prove(socket: Socket, id: string): void;
	/** Milliseconds until the certificate ends that the peer has proved itself by; no more than 0: it has ended. */
	leftMs(socket: Socket): number;
	/** Who has proved to be the peer; null = nobody yet, or a certificate without a SPIFFE id. */
	idOf(socket: Socket): string | null;
	/** Whether the peer should come back on a new connection with a newer certificate. */
	isOld(socket: Socket): boolean;
}

/** When a connection's proof ends, and from when on it is old; for ever where no certificate was verified. */
export interface ProofTimes {
	readonly endsAtMs: number;
	readonly oldAtMs: number;
}

/** Of the verified certificate of the peer of a connection that is opened now. */
export function proofTimes(socket: TLSSocket, nowMs: number): ProofTimes {
	const certificate = socket.authorized ? socket.getPeerX509Certificate() : undefined;
	if (certificate === undefined) return { endsAtMs: Number.POSITIVE_INFINITY, oldAtMs: Number.POSITIVE_INFINITY };
	const endsAtMs = Date.parse(certificate.validTo);
	return { endsAtMs, oldAtMs: endsAtMs - Math.min(PEER_RENEWAL_MS, (endsAtMs - nowMs) * PEER_RENEWAL_SHARE) };
}

/**
 * Bounds the connections of a server (tls, https, http2) from its next one on. Call it before it listens; its own
 * `maxConnections` would count those that prove nothing, so leave that alone.
 */
export function boundConnections(server: Server, bounds: DoorBounds): DoorConnections {
	return new Connections(server, bounds);
}

/** A connection whose peer has not proved who it is. */
interface Unproved {
	/** Below TLS: what is ended. */
	readonly raw: Socket;
	readonly name: string;
	readonly address: string;
	sinceMs: number;
}

/** A connection that TLS is done with. */
interface Peer {
	readonly socket: TLSSocket;
	readonly times: ProofTimes;
	id: string | null;
	/** Whose connections are counted together. */
	holder: string;
	sinceMs: number;
	/** Requests under way. null: what is spoken is not known, and may go on for ever in silence. */
	underWay: number | null;
	/** When the last request was answered; until then, since it is there. */
	quietSinceMs: number;
	hasAsked: boolean;
	/** `onOld` was told. */
	toldOld: boolean;
}

/** Idle connections end this long before their certificate, at one of the last two looks; none before it is old. */
const ENDING_MS = 2 * CONNECTIONS_CHECK_MS;

class Connections implements DoorConnections {
	readonly #bounds: DoorBounds;
	readonly #nowMs: () => number;
	readonly #unproved = new Map<string, Unproved>();
	/** The same, by address, the oldest first. */
	readonly #byAddress = new Map<string, Set<Unproved>>();
	readonly #peers = new WeakMap<Socket, Peer>();
	readonly #proved = new Set<Peer>();
	/** The same, by who holds them, the oldest first. */
	readonly #byHolder = new Map<string, Set<Peer>>();
	readonly #seesRequests: boolean;

	constructor(server: Server, bounds: DoorBounds) {
		this.#bounds = bounds;
		this.#nowMs = bounds.nowMs ?? Date.now;
		// Before TLS has the connection, and before anything that speaks on it.
		server.prependListener("connection", (raw: Socket) => this.#opened(raw));
		server.prependListener("secureConnection", (socket: TLSSocket) => this.#secured(socket));
		server.on("tlsClientError", (error, socket) => {
			const fault = handshakeFault(error, socket);
			if (fault !== null) bounds.onHandshakeFault?.(fault);
		});
		// HTTP/2 takes such a listener for a wish to have its requests in the form of HTTP/1.
		this.#seesRequests = server instanceof HttpsServer;
		if (this.#seesRequests) {
			server.prependListener("request", ({ socket }: IncomingMessage, response: ServerResponse) =>
				this.#asked(socket, response),
			);
		}
		// After a stall what peers have asked meanwhile is read first: a connection with it is not idle.
		const looks = setInterval(() => setImmediate(() => this.#look()), CONNECTIONS_CHECK_MS);
		looks.unref();
		server.once("close", () => clearInterval(looks));
	}

	prove(socket: Socket, id: string): void {
		const unproved = this.#unproved.get(nameOf(socket) ?? "");
		const peer = this.#peers.get(socket);
		if (unproved === undefined || peer === undefined) return;
		this.#forget(unproved);
		this.#keep(Object.assign(peer, { id, holder: id }));
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
			// Gone already; TLS takes it first.
			setImmediate(() => raw.destroy());
			return;
		}
		const unproved = { raw, name, address, sinceMs: performance.now() };
		this.#unproved.set(name, unproved);
		const siblings = this.#byAddress.get(address);
		if (siblings === undefined) this.#byAddress.set(address, new Set([unproved]));
		else siblings.add(unproved);
		raw.once("close", () => this.#forget(unproved));
		if (this.#unproved.size > UNAUTHENTICATED_CONNECTIONS_MAX) this.#endOne();
	}

	#secured(socket: TLSSocket): void {
		const unproved = this.#unproved.get(nameOf(socket) ?? "");
		if (unproved === undefined) {
			socket.destroy();
			return;
		}
		const id = certifiedId(socket);
		const peer: Peer = {
			socket,
			times: proofTimes(socket, this.#nowMs()),
			id,
			holder: id ?? unproved.address,
			sinceMs: performance.now(),
			underWay: this.#seesRequests ? 0 : null,
			quietSinceMs: performance.now(),
			hasAsked: false,
			toldOld: false,
		};
		this.#peers.set(socket, peer);
		if (this.#bounds.provedBy === "request" && !socket.authorized) {
			unproved.sinceMs = performance.now();
			return;
		}
		this.#forget(unproved);
		this.#keep(peer);
	}

	#asked(socket: Socket, response: ServerResponse): void {
		const peer = this.#peers.get(socket);
		if (peer === undefined || peer.underWay === null) return;
		peer.underWay += 1;
		peer.hasAsked = true;
		response.once("close", () => {
			if (peer.underWay !== null) peer.underWay -= 1;
			peer.quietSinceMs = performance.now();
		});
	}

	#keep(peer: Peer): void {
		const { socket, holder } = peer;
		// Whoever looks at certificates more closely has ended it already.
		if (socket.destroyed) return;
		this.#proved.add(peer);
		const siblings = this.#byHolder.get(holder);
		if (siblings === undefined) this.#byHolder.set(holder, new Set([peer]));
		else siblings.add(peer);
		socket.once("close", () => this.#leave(peer));
		if (this.#proved.size > this.#bounds.connections) this.#makeRoom(peer);
	}

	/**
	 * Ends the oldest connection in which nothing is under way of whoever holds the most. Where there is none, the newest
	 * one if it is theirs: nobody's own work is cut for more of it; else their oldest.
	 */
	#makeRoom(newest: Peer): void {
		const held = Math.max(...[...this.#byHolder.values()].map(({ size }) => size));
		const crowds = [...this.#byHolder.values()].filter(({ size }) => size === held);
		const idle = crowds.flatMap((crowd) => [...crowd].find((one) => one.underWay === 0 && one !== newest) ?? []);
		const [oldest = newest] = crowds[0] ?? [];
		const ended = idle[0] ?? (this.#byHolder.get(newest.holder)?.size === held ? newest : oldest);
		this.#leave(ended);
		this.#cut(ended);
		this.#bounds.onCrowded?.({ id: ended.id, held, most: this.#bounds.connections });
	}

	#leave(peer: Peer): void {
		this.#proved.delete(peer);
		const siblings = this.#byHolder.get(peer.holder);
		siblings?.delete(peer);
		if (siblings?.size === 0) this.#byHolder.delete(peer.holder);
	}

	#forget(unproved: Unproved): void {
		const { name, address } = unproved;
		// Another connection may have the name by now.
		if (this.#unproved.get(name) === unproved) this.#unproved.delete(name);
		const siblings = this.#byAddress.get(address);
		siblings?.delete(unproved);
		if (siblings?.size === 0) this.#byAddress.delete(address);
	}

	/** The oldest of the address with the most; of several such, of the one that came first. */
	#endOne(): void {
		let most: ReadonlySet<Unproved> = new Set();
		for (const siblings of this.#byAddress.values()) if (siblings.size > most.size) most = siblings;
		const [oldest] = most;
		if (oldest !== undefined) this.#end(oldest);
	}

	#end(unproved: Unproved): void {
		this.#forget(unproved);
		unproved.raw.destroy();
	}

	#look(): void {
		const now = performance.now();
		const { unaskedMs = Number.POSITIVE_INFINITY } = this.#bounds;
		for (const unproved of [...this.#unproved.values()]) {
			if (unproved.sinceMs < now - UNAUTHENTICATED_CONNECTION_MS) this.#end(unproved);
		}
		for (const peer of [...this.#proved]) {
			const leftMs = this.leftMs(peer.socket);
			const unasked = !peer.hasAsked && peer.sinceMs < now - unaskedMs;
			// The next request would meet the certificate's end, and who asks has done nothing wrong. Whoever asks all the time
			// may be asking now: the next answer asks them to leave.
			const quiet = peer.quietSinceMs < now - CONNECTION_QUIET_MS;
			const ending = quiet && leftMs <= ENDING_MS && this.isOld(peer.socket);
			const idle = peer.underWay === 0 && (unasked || ending);
			if (idle || (this.#bounds.cutAtEnd === true && leftMs <= 0)) this.#cut(peer);
			else if (!peer.toldOld && this.isOld(peer.socket)) {
				peer.toldOld = true;
				this.#bounds.onOld?.(peer.socket);
			}
		}
	}

	#cut({ socket }: Peer): void {
		this.#bounds.onCut?.(socket);
		socket.destroy();
	}
}

/** Tells the living connections of one server apart; null: the peer is gone. TLS and what lies below and above it share the name. */
export function nameOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string | null {
	if (remoteAddress === undefined || remotePort === undefined) return null;
	return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}

/** How a door shows itself, and whom it takes; both change while it is open. */
export interface MutualTls {
	/** Must demand client certificates that it verifies. */
	readonly options: TlsOptions;
	/** Given the server once it exists, to renew what it shows; what it returns is called at the end. */
	readonly follow: (server: Server) => () => void;
}

/**
 * A door for gRPC servers that open none with bounds of their own: takes mTLS connections of HTTP/2 and hands on those
 * whose peer is proved, each cut at the end of its certificate.
 * @param port 0 = any
 * @param take the server's connection injector
 */
export async function openHttp2Door(
	{
		host,
		port,
		tls,
		...bounds
	}: { host: string; port: number; tls: MutualTls } & Pick<
		DoorBounds,
		"connections" | "onCrowded" | "onHandshakeFault" | "onOld" | "onCut"
	>,
	take: (socket: TLSSocket) => void,
): Promise<{ readonly port: number; close(): void }> {
	const server = createServer({ ...tls.options, ALPNProtocols: ["h2"] });
	boundConnections(server, { ...bounds, cutAtEnd: true });
	server.on("secureConnection", (socket) => {
		// A connection that breaks is the peer's business; the gRPC server is told by its own listeners.
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
				// Accepting may fail later (no file descriptors left), and the door goes on.
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
