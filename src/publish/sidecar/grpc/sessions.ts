/** The connections of a gRPC server: closes dead ones and those with an ended certificate. */
import type { Http2SecureServer, Http2Server, Http2Session, ServerHttp2Session } from "node:http2";
import type { Socket } from "node:net";
import { CALLOUT_WINDOW_BYTES } from "../../../limits/index.js";
import type { GrpcCounters } from "./ports.js";
import { Proofs } from "./proofs.js";

export class Sessions {
	readonly #sessions = new Set<ServerHttp2Session>();
	readonly #sockets = new Set<Socket>();
	readonly #proofs = new Proofs();
	/** Sessions that have not answered their PING. */
	readonly #silent = new Set<ServerHttp2Session>();
	readonly #pings: NodeJS.Timeout;

	constructor(
		http: Http2Server | Http2SecureServer,
		private readonly counters: GrpcCounters,
		pingMs: number,
	) {
		// After the poll phase, so that pending PING replies are read first after a standstill.
		this.#pings = setInterval(() => setImmediate(() => this.#sweep()), pingMs);
		this.#pings.unref();
		http.on("connection", (socket: Socket) => {
			this.#sockets.add(socket);
			socket.once("close", () => this.#sockets.delete(socket));
		});
		http.on("session", (session) => this.#connected(session));
		http.on("sessionError", (error) => this.counters.brokeConnection(error));
	}

	/** Whether the peer's certificate has ended. */
	hasEnded(session: Http2Session | undefined): boolean {
		return this.#proofs.hasEnded(session);
	}

	/** Sends no more PINGs. */
	stopPings(): void {
		clearInterval(this.#pings);
	}

	/**
	 * Sends each peer one GOAWAY with the last served call; later calls were not processed (RFC 9113 6.8). Node does not offer
	 * nghttp2's shutdown notice, after which further calls would be accepted.
	 */
	goAway(): void {
		for (const session of this.#sessions) {
			if (!session.closed && !session.destroyed) session.close();
		}
	}

	cut(): void {
		for (const session of this.#sessions) session.destroy();
		// destroy() after close() only half-closes the socket.
		for (const socket of this.#sockets) socket.destroySoon();
	}

	#connected(session: ServerHttp2Session): void {
		this.#sessions.add(session);
		this.#proofs.opened(session);
		session.setLocalWindowSize(CALLOUT_WINDOW_BYTES.connection);
		session.once("close", () => {
			this.#sessions.delete(session);
			this.#silent.delete(session);
		});
	}

	/**
	 * Closes connections that did not answer since the last sweep: those that never started HTTP/2, and those with a
	 * connection error. After such an error nghttp2 stops reading, so Node does not notice that the peer disconnects
	 * (measured on Node 20.20.2), and the session would leak.
	 */
	#sweep(): void {
		for (const session of this.#sessions) {
			if (session.destroyed) continue;
			this.#proofs.endOld(session);
			if (this.#silent.has(session)) {
				this.counters.brokeConnection(new Error("no answer to PING"));
				session.destroy();
			} else {
				this.#silent.add(session);
				session.ping(() => this.#silent.delete(session));
			}
		}
	}
}
