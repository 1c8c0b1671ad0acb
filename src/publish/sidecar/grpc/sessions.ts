/** The connections of a gRPC server: whether their peers still answer and are still who they proved to be. */
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
		// After the poll phase: when the process itself was stopped, answers that lie in the socket are read first.
		this.#pings = setInterval(() => setImmediate(() => this.#sweep()), pingMs);
		this.#pings.unref();
		http.on("connection", (socket: Socket) => {
			this.#sockets.add(socket);
			socket.once("close", () => this.#sockets.delete(socket));
		});
		http.on("session", (session) => this.#connected(session));
		http.on("sessionError", (error) => this.counters.brokeConnection(error));
	}

	/** Whether the certificate that the connection was opened with has ended. */
	hasEnded(session: Http2Session | undefined): boolean {
		return this.#proofs.hasEnded(session);
	}

	/** Sends no more PINGs. */
	stopPings(): void {
		clearInterval(this.#pings);
	}

	/**
	 * One GOAWAY to each peer, which names the last call that is served: nghttp2 takes no call after any GOAWAY but its own
	 * shutdown notice, which Node does not offer. A peer knows that later ones were not looked at (RFC 9113 6.8).
	 */
	goAway(): void {
		for (const session of this.#sessions) {
			if (!session.closed && !session.destroyed) session.close();
		}
	}

	cut(): void {
		for (const session of this.#sessions) session.destroy();
		// A session that is destroyed after close() only half-closes its socket and then waits for the peer.
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
	 * Cuts the connections that did not answer since the last sweep: those that never began HTTP/2, and those that
	 * nghttp2 has given up. After a connection error it sends GOAWAY and stops reading, so that Node does not see the
	 * peer leave (measured on Node 20.20.2): without this, every protocol error would leave a session and its calls.
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
