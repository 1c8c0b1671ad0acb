/**
 * Access-log connections of Envoys. Envoy keeps no copy of what it wrote to a connection: when one breaks, entries sent
 * after the last answered PING may be lost. Streams that ended in order lost nothing: those ended by their Envoy or by
 * ingest, and those of an Envoy that reported itself drained.
 */
import type { Http2Session, ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import { ENVOY_PING_MS, ENVOY_SILENT_MS } from "../../../../limits/index.js";
import { within } from "../../../../limits/within.js";
import { nameOf } from "../../../../trust/tls/connectionLimits.js";
import type { StreamPeer } from "./streamIdentity.js";

/**
 * A stream that is reset within this time before its connection ends belongs to a stopping Envoy; otherwise its listener
 * was replaced.
 */
export const STREAM_ENDING_MS = 1_000;

export interface EnvoyConnectionsOptions {
	readonly clock: () => number;
	/** Monotonic milliseconds; by default performance.now. */
	readonly passedMs?: () => number;
	/** Entries of that stream since then may be missing. */
	readonly broke: (fromMs: number, stream: EnvoyStream) => void;
}

export class EnvoyStream {
	/** From its first message; null before it, or if not named. */
	nodeId: string | null = null;
	/** Process of that node. */
	instance: string | null = null;
	gateway: string | null = null;
	/** No entries are in flight: it ended in order, was refused, or its Envoy has drained since its last message. */
	whole = false;
	/** Ended by ingest. */
	answered = false;

	/** @param raw the HTTP/2 stream below gRPC; undefined = unavailable, and its connection is unknown */
	constructor(
		private readonly raw: ServerHttp2Stream | undefined,
		readonly peer: StreamPeer,
	) {}

	/** Records a received message. */
	heard(): void {
		this.whole = false;
	}

	/** Its readable side has ended: in order, unless the stream was reset or lost with its connection. */
	ended(): void {
		if (this.raw?.closed === false) this.whole = true;
	}

	/** Ends it by raw HTTP/2: grpc-js reads nothing more once it has answered. */
	end(): void {
		const { raw } = this;
		if (raw === undefined || raw.headersSent || raw.destroyed) return;
		raw.once("wantTrailers", () => raw.sendTrailers({ "grpc-status": "0" }));
		raw.respond({ ":status": 200, "content-type": "application/grpc+proto" }, { waitForTrailers: true });
		raw.end(EMPTY_MESSAGE);
		this.answered = true;
		this.whole = true;
	}
}

interface Connection {
	readonly name: string | null;
	/** Open and just-reset streams: an Envoy that ends resets its streams before its connection. */
	readonly streams: Set<EnvoyStream>;
	signMs: number;
	/** When the unanswered PING was sent, by passedMs. */
	pingedAt: number | null;
}

export class EnvoyConnections {
	readonly #open = new Map<Http2Session, Connection>();
	readonly #pings: NodeJS.Timeout;
	readonly #passedMs: () => number;
	#closed = false;

	constructor(private readonly options: EnvoyConnectionsOptions) {
		this.#passedMs = options.passedMs ?? (() => performance.now());
		this.#pings = setInterval(() => this.pingAll(), ENVOY_PING_MS).unref();
	}

	/** PINGs every connection, and cuts those without an answer for too long. This also runs on a timer. */
	pingAll(): void {
		for (const [session, connection] of this.#open) {
			if (connection.pingedAt === null) void this.#ping(session, connection);
			// After a stall of this process, first read the answers that arrived meanwhile.
			else if (this.#isSilent(connection)) setImmediate(() => this.#isSilent(connection) && session.destroy());
		}
	}

	/** Registers an opened stream. */
	opened(raw: ServerHttp2Stream | undefined, peer: StreamPeer): EnvoyStream {
		const stream = new EnvoyStream(raw, peer);
		const session = raw?.session;
		if (raw === undefined || session === undefined) return stream;
		const { streams } = this.#connection(session);
		streams.add(stream);
		raw.once("close", () => {
			// A stream reset on an open connection belongs to a replaced listener.
			if (stream.whole && !session.destroyed) streams.delete(stream);
			else setTimeout(() => setImmediate(() => streams.delete(stream)), STREAM_ENDING_MS).unref();
		});
		return stream;
	}

	/**
	 * That Envoy has drained and written its whole log. Entries written before an answered PING have arrived. Resolves when
	 * all its connections have answered, or after a time limit.
	 */
	async drained(peer: StreamPeer, nodeId: string, instance: string): Promise<void> {
		const name = JSON.stringify([peer, nodeId, instance]);
		const asked = [...this.#open].map(async ([session, connection]) => {
			const own = [...connection.streams].filter(
				(one) => JSON.stringify([one.peer, one.nodeId, one.instance]) === name,
			);
			if (own.length === 0) return;
			await this.#ping(session, connection);
			for (const one of own) one.whole = true;
		});
		await within(LAST_PING_MS, Promise.all(asked));
	}

	/** Ends the streams of a connection before it is cut: their Envoy reconnects, and what it has written is still read. */
	end(socket: Socket): void {
		const name = nameOf(socket);
		for (const [session, connection] of this.#open) {
			if (name === null || connection.name !== name) continue;
			// First: a replacement stream must not use this connection.
			session.goaway();
			for (const one of connection.streams) one.end();
		}
	}

	/** Closes this side after a wait for running streams. Streams that break are a gap of ingest's own. */
	async close(): Promise<void> {
		clearInterval(this.#pings);
		await within(LAST_PING_MS, Promise.all([...this.#open].map(([session, one]) => this.#ping(session, one))));
		this.#closed = true;
	}

	#connection(session: Http2Session): Connection {
		const known = this.#open.get(session);
		if (known !== undefined) return known;
		const signMs = this.options.clock();
		const connection: Connection = { name: nameOf(session.socket), streams: new Set(), signMs, pingedAt: null };
		this.#open.set(session, connection);
		session.once("close", () => {
			this.#open.delete(session);
			if (this.#closed) return;
			for (const one of connection.streams) if (!one.whole) this.options.broke(connection.signMs, one);
		});
		return connection;
	}

	/** Resolves when it is answered; otherwise never. */
	#ping(session: Http2Session, connection: Connection): Promise<void> {
		const sentMs = this.options.clock();
		connection.pingedAt ??= this.#passedMs();
		return new Promise((resolve) => {
			if (session.destroyed) return;
			session.ping((error) => {
				if (error !== null) return;
				connection.pingedAt = null;
				connection.signMs = Math.max(connection.signMs, sentMs);
				resolve();
			});
		});
	}

	#isSilent({ pingedAt }: Connection): boolean {
		return pingedAt !== null && this.#passedMs() - pingedAt >= ENVOY_SILENT_MS;
	}
}

/** gRPC frame of an empty message. */
const EMPTY_MESSAGE = Buffer.alloc(5);

/** How long closing waits for PING answers. */
const LAST_PING_MS = 500;
