/**
 * Connections of Envoys to the access log. Envoy keeps no copy of what it has written to a connection: when one breaks, entries
 * since its last sign of life may be lost. A sign of life is the sending of the last PING that was answered. Streams that ended
 * in order have lost nothing: those that their Envoy or ingest ended, and those of an Envoy that reported itself drained.
 */
import type { Http2Session, ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import { ENVOY_PING_MS, ENVOY_SILENT_MS, STREAM_ENDING_MS } from "../../../limits/index.js";
import { within } from "../../../limits/within.js";
import { nameOf } from "../../../trust/tls/tlsDoor.js";
import type { StreamPeer } from "./streamIdentity.js";

export interface EnvoyConnectionsOptions {
	readonly clock: () => number;
	/** Milliseconds that no clock's setting changes; by default performance.now. */
	readonly passedMs?: () => number;
	/** Entries of that stream since then may be missing. */
	readonly broke: (fromMs: number, stream: EnvoyStream) => void;
}

export class EnvoyStream {
	/** By its first message; null before, or where it does not say. */
	nodeId: string | null = null;
	/** Which process of that node. */
	instance: string | null = null;
	gateway: string | null = null;
	/** Nothing of it is under way: it ended in order, was refused, or its Envoy has drained since its last message. */
	whole = false;
	/** It was ended from this side. */
	answered = false;

	/** @param raw below gRPC; undefined = unavailable, and nothing is known of its connection */
	constructor(
		private readonly raw: ServerHttp2Stream | undefined,
		readonly peer: StreamPeer,
	) {}

	/** A message came by it. */
	heard(): void {
		this.whole = false;
	}

	/** Its readable side has ended: in order, if the stream was neither reset nor lost with its connection. */
	ended(): void {
		if (this.raw?.closed === false) this.whole = true;
	}

	/** Ends it from this side, by raw HTTP/2: grpc-js reads nothing more once it has answered. */
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
	/** The open streams, and those that were reset just now: an Envoy that ends resets its streams before its connection. */
	readonly streams: Set<EnvoyStream>;
	signMs: number;
	/** When the PING was sent that is not answered yet, by passedMs. */
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

	/** PINGs every connection; one that has not answered for too long is cut. It also happens by itself. */
	pingAll(): void {
		for (const [session, connection] of this.#open) {
			if (connection.pingedAt === null) void this.#ping(session, connection);
			// After a stall of this process the answers that have come meanwhile are read first.
			else if (this.#isSilent(connection)) setImmediate(() => this.#isSilent(connection) && session.destroy());
		}
	}

	/** A stream was opened. */
	opened(raw: ServerHttp2Stream | undefined, peer: StreamPeer): EnvoyStream {
		const stream = new EnvoyStream(raw, peer);
		const session = raw?.session;
		if (raw === undefined || session === undefined) return stream;
		const { streams } = this.#connection(session);
		streams.add(stream);
		raw.once("close", () => {
			// A reset stream of a connection that stays is that of a listener that was replaced.
			if (stream.whole && !session.destroyed) streams.delete(stream);
			else setTimeout(() => setImmediate(() => streams.delete(stream)), STREAM_ENDING_MS).unref();
		});
		return stream;
	}

	/**
	 * That Envoy takes no more requests and has written everything. What it wrote before a PING that it answers has come.
	 * Resolves when all its connections have answered, or not in time.
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

	/** Ends the streams of a connection that is cut soon: their Envoy goes on by a new one, and what it has written is still read. */
	end(socket: Socket): void {
		const name = nameOf(socket);
		for (const [session, connection] of this.#open) {
			if (name === null || connection.name !== name) continue;
			// First: a stream that is opened for one that has ended must not be of this connection.
			session.goaway();
			for (const one of connection.streams) one.end();
		}
	}

	/** This side goes away, and waits for what is under way. What breaks by that is a gap of ingest's own. */
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

	/** Resolves when it is answered; never where it is not. */
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

/** gRPC's frame of a message of no bytes. */
const EMPTY_MESSAGE = Buffer.alloc(5);

/** How long this side's end, or that of an Envoy, waits for answers. */
const LAST_PING_MS = 500;
