/**
 * The access-log streams that are open, by their connection. One whose connection is to be cut ends in order before: its
 * Envoy opens another one, on a new connection, and what it has written on this one by then is still read.
 */
import type { Http2Session, ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import { nameOf } from "../tlsDoor.js";

/** How one open stream is told of its connection. */
export interface OpenStream {
	readonly raw: ServerHttp2Stream;
	/** It has been ended from this side, in order. */
	ended(): void;
	/** Its connection is cut from this side, now. */
	cut(): void;
}

export class OpenStreams {
	readonly #open = new Map<string, Set<OpenStream>>();

	/** Until the stream closes. */
	add(stream: OpenStream): void {
		const name = stream.raw.session === undefined ? null : nameOf(stream.raw.session.socket);
		if (name === null) return;
		const siblings = this.#open.get(name) ?? new Set();
		this.#open.set(name, siblings.add(stream));
		stream.raw.once("close", () => {
			siblings.delete(stream);
			if (siblings.size === 0 && this.#open.get(name) === siblings) this.#open.delete(name);
		});
	}

	/** Asks the peer for a new connection, and ends all streams of this one. */
	end(socket: Socket): void {
		const streams = [...this.#of(socket)];
		const session: Http2Session | undefined = streams[0]?.raw.session;
		// First: a stream that is opened for one that has ended must not be of this connection.
		session?.goaway();
		for (const one of streams) {
			if (one.raw.headersSent || one.raw.destroyed) continue;
			// Not by grpc-js, which reads nothing more once it has answered.
			one.raw.once("wantTrailers", () => one.raw.sendTrailers({ "grpc-status": "0" }));
			one.raw.respond({ ":status": 200, "content-type": "application/grpc+proto" }, { waitForTrailers: true });
			one.raw.end(EMPTY_MESSAGE);
			one.ended();
		}
	}

	cut(socket: Socket): void {
		for (const one of this.#of(socket)) one.cut();
	}

	#of(socket: Socket): ReadonlySet<OpenStream> {
		return this.#open.get(nameOf(socket) ?? "") ?? new Set();
	}
}

/** gRPC's frame of a message of no bytes. */
const EMPTY_MESSAGE = Buffer.alloc(5);
