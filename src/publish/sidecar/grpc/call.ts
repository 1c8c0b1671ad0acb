/**
 * One call on its HTTP/2 stream. The call is stored on the stream under a symbol and the listeners are shared functions, so
 * that a call needs no closures.
 */
import type { ServerHttp2Stream } from "node:http2";
import { performance } from "node:perf_hooks";
import type { GrpcCounters } from "./ports.js";
import { endWithoutMessage, sendTrailers, stopPeer } from "./response.js";
import { GRPC, type GrpcCode, GrpcFailure, type Reply } from "./service.js";
import type { Turn } from "./turn.js";

/** Calls that wait for the verification of a token; more are shed. */
export const CALLOUT_TOKENS_WAITING_MAX = 1_024;

/** State that all calls of one server share. */
export interface Shared {
	readonly turn: Turn;
	readonly counters: GrpcCounters;
	/** Open calls. */
	open: number;
	/** Calls that wait for a promised reply. */
	waiting: number;
	/** Called when the last open call is over. */
	idle: () => void;
	/** Calls that the server must end when it stops; calls add and remove themselves. */
	readonly stopped: Set<Stoppable>;
	/** The server stops and accepts no new calls. */
	draining: boolean;
}

/** An open call while the server stops. */
export interface Stoppable {
	/** Ends the call if no reply is due. */
	release(): void;
	/** Ends the call as failed, at the end of the grace period. */
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
	/** The response is complete or the call is aborted: further input is dropped. */
	protected over = false;
	#failure: GrpcFailure | null = null;

	constructor(
		protected readonly stream: ServerHttp2Stream,
		protected readonly path: string,
		protected readonly shared: Shared,
	) {}

	protected abstract data(chunk: Buffer): void;
	protected abstract end(): void;
	/** The stream has ended for any reason. */
	protected abstract closed(): void;
	/** The stream is writable again. */
	protected drained(): void {}

	/** Starts reading. */
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

	/** Ends the call with a failure or with OK. */
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
	 * Waits for a promised reply, up to the deadline and a maximum of waiting calls.
	 * @param give called with the reply, unless the call has ended
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

	onData(chunk: Buffer): void {
		if (!this.over) this.data(chunk);
	}

	onEnd(): void {
		// Node also emits `end` for a reset stream, which is no half-close. `close` follows.
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

/** Resets and broken connections are handled in `close`. */
function onError(): void {}

/** Listener of `drain`, for calls with several replies. */
export function onDrain(this: CallStream): void {
	this[CALL]?.onDrain();
}
