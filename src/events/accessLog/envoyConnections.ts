/**
 * Connections of Envoys to the access log, and the streams on them: what an Envoy has written to a connection that breaks, it
 * keeps nowhere. One rule for all: a connection that ends while it has a stream has told everything up to its last sign of
 * life, the sending of the last PING that was answered, unless that stream ended in order: by its Envoy's word, by ours that
 * it took, or drained (events/accessLog/keeperWord.ts) and answered a PING after. A reset stream of a connection that stays is a listener's that was replaced.
 */
import type { Http2Session, ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import { ENVOY_NOTICES_MS, ENVOY_PING_MS, ENVOY_SILENT_MS, MISSING_MARGIN_MS, STREAM_ENDING_MS } from "../../limits.js";
import { nameOf } from "../../tlsDoor.js";
import { within } from "../../within.js";
import type { StreamPeer } from "./streamIdentity.js";

export interface EnvoyConnectionsOptions {
	/** Over a network, which need not tell of an end: who answers no PING is gone, and nobody knows since when. */
	readonly remote: boolean;
	readonly clock: () => number;
	/** Milliseconds that no clock's setting changes; by default performance.now. */
	readonly passedMs?: () => number;
	/** Between these, entries of that stream may be missing. */
	readonly lost: (fromMs: number, untilMs: number, stream: EnvoyStream) => void;
}

export class EnvoyStream {
	/** As its first message has said; null before, or where it does not say. */
	nodeId: string | null = null;
	/** Which process of that node. */
	instance: string | null = null;
	gateway: string | null = null;
	/** When it was ended from this side, in order. */
	endedMs: number | null = null;
	/** Its Envoy has ended it in order, or it may not speak: nothing is under way. */
	#over = false;
	/** Its Envoy takes no more requests, and has written what there was. */
	#drained = false;

	/** @param raw below gRPC; undefined = it cannot be had, and nothing is told */
	constructor(
		private readonly raw: ServerHttp2Stream | undefined,
		readonly peer: StreamPeer,
	) {}

	/** Something came by it. */
	heard(): void {
		this.#drained = false;
	}

	drained(): void {
		this.#drained = true;
	}

	/** Nothing more comes: by its Envoy's word, or as it was reset or its connection broke. */
	over(): void {
		this.#over = this.raw?.closed === false;
	}

	refused(): void {
		this.#over = true;
	}

	get isWhole(): boolean {
		return this.#over || this.#drained;
	}

	/** Not by grpc-js, which reads nothing more once it has answered. */
	end(nowMs: number): void {
		const { raw } = this;
		if (raw === undefined || raw.headersSent || raw.destroyed) return;
		raw.once("wantTrailers", () => raw.sendTrailers({ "grpc-status": "0" }));
		raw.respond({ ":status": 200, "content-type": "application/grpc+proto" }, { waitForTrailers: true });
		raw.end(EMPTY_MESSAGE);
		this.endedMs = nowMs;
	}
}

export class EnvoyConnections {
	readonly #open = new Map<Http2Session, EnvoyConnection>();
	readonly #looks: NodeJS.Timeout;
	/** Set once this side goes away: what breaks by that is told of at the next start. */
	#closedAt: { readonly aliveSinceMs: number | null } | null = null;

	constructor(private readonly options: EnvoyConnectionsOptions) {
		this.#looks = setInterval(() => this.look(), ENVOY_PING_MS).unref();
	}

	/** Asks all for a sign of life; who gave none for too long is cut where that says something. It also happens by itself. */
	look(): void {
		for (const one of this.#open.values()) one.look();
	}

	/** A stream was opened. */
	opened(raw: ServerHttp2Stream | undefined, peer: StreamPeer): EnvoyStream {
		const stream = new EnvoyStream(raw, peer);
		const session = raw?.session;
		if (session !== undefined) this.#connection(session).add(stream, raw as ServerHttp2Stream);
		return stream;
	}

	/**
	 * That Envoy takes no more requests, and has written all: what a connection that lives has carried by now has come.
	 * Resolves when all have answered, or not in time.
	 */
	async drained(peer: StreamPeer, nodeId: string, instance: string): Promise<void> {
		const whose = JSON.stringify([peer, nodeId, instance]);
		const asked = [...this.#open.values()].map(async (connection) => {
			const own = [...connection.streams].filter(
				(one) => JSON.stringify([one.peer, one.nodeId, one.instance]) === whose,
			);
			if (own.length === 0) return;
			await connection.ping();
			for (const one of own) one.drained();
		});
		await within(LAST_PING_MS, Promise.all(asked));
	}

	/** Ends the streams of a connection that is cut soon: their Envoy goes on by a new one, and what it has written is still read. */
	end(socket: Socket): void {
		this.#of(socket)?.end();
	}

	/** It is cut from this side, now. */
	cut(socket: Socket): void {
		const connection = this.#of(socket);
		if (connection !== undefined) connection.isCut = true;
	}

	/** @returns up to when nothing is lost that is not known yet: with a network between an end is noticed late; null = up to now */
	get aliveSinceMs(): number | null {
		if (this.#closedAt !== null) return this.#closedAt.aliveSinceMs;
		const signs = [...this.#open.values()].filter(({ streams }) => streams.size > 0).map(({ signMs }) => signMs);
		return this.options.remote && signs.length > 0 ? Math.min(...signs) - MISSING_MARGIN_MS : null;
	}

	/** This side goes away: asks all once more whether they live. */
	async close(): Promise<void> {
		clearInterval(this.#looks);
		await within(LAST_PING_MS, Promise.all([...this.#open.values()].map((one) => one.ping())));
		this.#closedAt = { aliveSinceMs: this.aliveSinceMs };
	}

	#connection(session: Http2Session): EnvoyConnection {
		const known = this.#open.get(session);
		if (known !== undefined) return known;
		const connection = new EnvoyConnection(session, this.options);
		this.#open.set(session, connection);
		session.once("close", () => {
			this.#open.delete(session);
			if (this.#closedAt === null) this.#tell(connection);
		});
		return connection;
	}

	#tell(connection: EnvoyConnection): void {
		const nowMs = this.options.clock();
		// One that was cut may not hear of that.
		const untilMs = nowMs + (connection.isCut ? ENVOY_NOTICES_MS : 0);
		for (const stream of connection.streams) {
			// Its Envoy has taken the end; one that has not by then was not reached by it.
			const took = !connection.isCut && stream.endedMs !== null && nowMs - stream.endedMs <= MISSING_MARGIN_MS;
			if (took || stream.isWhole) continue;
			this.options.lost(connection.signMs - MISSING_MARGIN_MS, untilMs + MISSING_MARGIN_MS, stream);
		}
	}

	#of(socket: Socket): EnvoyConnection | undefined {
		const name = nameOf(socket);
		return name === null ? undefined : [...this.#open.values()].find((one) => one.name === name);
	}
}

class EnvoyConnection {
	/** The open ones, and those that were reset just now: an Envoy that ends resets its streams before its connection. */
	readonly streams = new Set<EnvoyStream>();
	readonly name: string | null;
	signMs: number;
	/** It was cut from this side. */
	isCut = false;
	/** Of a PING that is not answered yet. */
	#pingedAt: number | null = null;

	constructor(
		private readonly session: Http2Session,
		private readonly options: EnvoyConnectionsOptions,
	) {
		this.name = nameOf(session.socket);
		this.signMs = options.clock();
	}

	add(stream: EnvoyStream, raw: ServerHttp2Stream): void {
		this.streams.add(stream);
		const leave = (): void => void this.streams.delete(stream);
		raw.once("close", () => {
			if (stream.endedMs !== null && !this.session.destroyed) leave();
			// After a stall the connection's end is read first.
			else setTimeout(() => setImmediate(leave), STREAM_ENDING_MS).unref();
		});
	}

	end(): void {
		// First: a stream that is opened for one that has ended must not be of this connection.
		this.session.goaway();
		for (const one of this.streams) one.end(this.options.clock());
	}

	look(): void {
		if (this.#pingedAt === null) void this.ping();
		else if (this.options.remote && this.#isSilent()) {
			// After a stall what it has answered meanwhile is read first.
			setImmediate(() => {
				if (!this.#isSilent()) return;
				this.isCut = true;
				this.session.destroy();
			});
		}
	}

	/** Resolves when it is answered; never where it is not. */
	ping(): Promise<void> {
		const sentMs = this.options.clock();
		this.#pingedAt ??= this.#passedMs();
		return new Promise((resolve) => {
			if (this.session.destroyed) return;
			this.session.ping((error) => {
				if (error !== null) return;
				this.#pingedAt = null;
				this.signMs = Math.max(this.signMs, sentMs);
				resolve();
			});
		});
	}

	#isSilent(): boolean {
		return this.#pingedAt !== null && this.#passedMs() - this.#pingedAt >= ENVOY_SILENT_MS;
	}

	#passedMs(): number {
		return (this.options.passedMs ?? (() => performance.now()))();
	}
}

/** gRPC's frame of a message of no bytes. */
const EMPTY_MESSAGE = Buffer.alloc(5);

/** How long this side's end, or that of an Envoy, waits for answers. */
const LAST_PING_MS = 500;
