/**
 * One call on its HTTP/2 stream, whatever its kind. The call rides on the stream under a symbol and the listeners are
 * shared functions, so that a call costs no closures.
 */
import type { ServerHttp2Stream } from "node:http2";
import { performance } from "node:perf_hooks";
import { CALLOUT_TOKENS_WAITING_MAX } from "../../../limits/index.js";
import type { PartialBytes } from "./framing.js";
import type { GrpcCounters } from "./ports.js";
import { endWithoutMessage, sendTrailers, stopPeer } from "./response.js";
import { GRPC, type GrpcCode, GrpcFailure, type Reply } from "./service.js";
import type { Turn } from "./turn.js";

/** What all calls of one server share. */
export interface Shared {
	readonly turn: Turn;
	readonly partial: PartialBytes;
	readonly counters: GrpcCounters;
	/** Open calls. */
	open: number;
	/** Calls whose handler has promised its reply. */
	waiting: number;
	/** Called when the last open call is over. */
	idle: () => void;
	/** Calls that would not end by themselves while the server stops; each keeps itself in it. */
	readonly stopped: Set<Stoppable>;
	/** The server stops: it takes no new calls. */
	draining: boolean;
}

/** What becomes of an open call when the server stops. */
export interface Stoppable {
	/** The server stops: ends the call if it has given all that it owes. */
	release(): void;
	/** Nobody waits any longer: ends the call as failed. */
	giveUp(): void;
}

const CALL = Symbol("weir.grpc.call");
type CallStream = ServerHttp2Stream & { [CALL]?: Call };

export const EXPIRED = new GrpcFailure(GRPC.DEADLINE_EXCEEDED, "the deadline was over before the work began");
export const OVERLOADED = new GrpcFailure(GRPC.RESOURCE_EXHAUSTED, "overloaded: too long in the queue");
export const STOPPING = new GrpcFailure(GRPC.UNAVAILABLE, "the server stops");
export const FAULT = new GrpcFailure(GRPC.INTERNAL, "internal error");

export abstract class Call {
	/** Response headers are sent. */
	protected begun = false;
	/** The peer has half-closed. */
	protected inputEnded = false;
	/** The answer is complete or the call is given up: what still comes in is dropped. */
	protected over = false;
	#failure: GrpcFailure | null = null;

	constructor(
		protected readonly stream: ServerHttp2Stream,
		protected readonly path: string,
		protected readonly shared: Shared,
	) {}

	protected abstract data(chunk: Buffer): void;
	protected abstract end(): void;
	/** The stream is over, however it ended. */
	protected abstract closed(): void;
	/** The stream takes more bytes again. */
	protected drained(): void {}

	/** Begins to read. */
	start(): void {
		const stream: CallStream = this.stream;
		stream[CALL] = this;
		this.shared.open++;
		stream.on("data", onData);
		stream.on("end", onEnd);
		stream.on("close", onClose);
		stream.on("error", onError);
		stream.on("wantTrailers", onWantTrailers);
	}

	/** Ends the call from this side: with a failure, or with OK. */
	protected finish(failure: GrpcFailure | null): void {
		if (this.over) return;
		this.over = true;
		const { stream } = this;
		if (stream.destroyed || stream.closed) {
			this.shared.counters.ended(this.path, GRPC.CANCELLED);
			return;
		}
		this.ended(failure === null ? GRPC.OK : failure.code);
		if (this.begun) {
			this.#failure = failure;
			stream.end();
		} else {
			endWithoutMessage(stream, failure, this.inputEnded);
		}
	}

	protected ended(code: GrpcCode): void {
		this.shared.counters.ended(this.path, code);
	}

	protected threw(error: unknown): void {
		this.shared.counters.threw(this.path, error);
	}

	protected shed(): void {
		this.shared.counters.shed(this.path);
		this.finish(OVERLOADED);
	}

	/**
	 * Waits for a reply that was promised. So many may wait and no more, and not beyond their deadline.
	 * @param give called with it, unless the call is over by then
	 */
	protected later(promised: Promise<Reply>, deadlineMs: number, give: (reply: Reply) => void): void {
		const { shared } = this;
		const settled = promised.catch((error: unknown): Reply => {
			this.threw(error);
			return FAULT;
		});
		if (shared.waiting >= CALLOUT_TOKENS_WAITING_MAX) {
			this.shed();
			return;
		}
		shared.waiting++;
		void settled.then((reply) => {
			shared.waiting--;
			if (this.over) return;
			if (performance.now() >= deadlineMs) this.finish(EXPIRED);
			else give(reply);
		});
	}

	/** What the stream's listeners call. */
	onData(chunk: Buffer): void {
		if (!this.over) this.data(chunk);
	}

	onEnd(): void {
		// Node also ends the readable side of a stream that was reset or lost: that is no half-close. `close` follows.
		if (this.stream.closed || this.stream.destroyed) return;
		this.inputEnded = true;
		if (!this.over) this.end();
	}

	onDrain(): void {
		if (!this.over) this.drained();
	}

	onWantTrailers(): void {
		const { stream } = this;
		sendTrailers(stream, this.#failure);
		if (!this.inputEnded) stopPeer(stream);
	}

	onClose(): void {
		if (!this.over) {
			this.over = true;
			this.ended(GRPC.CANCELLED);
		}
		this.closed();
		if (--this.shared.open === 0) this.shared.idle();
	}
}

function onData(this: CallStream, chunk: Buffer): void {
	this[CALL]?.onData(chunk);
}

function onEnd(this: CallStream): void {
	this[CALL]?.onEnd();
}

function onWantTrailers(this: CallStream): void {
	this[CALL]?.onWantTrailers();
}

function onClose(this: CallStream): void {
	this[CALL]?.onClose();
}

/** Resets of the peer and dead connections: `close` follows and does what is to be done. */
function onError(): void {}

/** Listener of `drain`, for the calls that may write more than once. */
export function onDrain(this: CallStream): void {
	this[CALL]?.onDrain();
}
