/** The hot path: one message and one reply, usually in the same turn of the event loop. */
import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import { performance } from "node:perf_hooks";
import { Call, EXPIRED, FAULT, type Shared } from "./call.js";
import { frame } from "./framing.js";
import { begin } from "./response.js";
import { type Given, GRPC, GrpcFailure, type Reply, type UnaryMethod } from "./service.js";
import { SingleMessage } from "./singleMessage.js";

export class UnaryCall extends Call {
	readonly #request: SingleMessage;

	/** @param deadlineMs on the clock of performance.now() */
	constructor(
		stream: ServerHttp2Stream,
		path: string,
		shared: Shared,
		private readonly method: UnaryMethod,
		private readonly metadata: IncomingHttpHeaders,
		private readonly deadlineMs: number,
	) {
		super(stream, path, shared);
		this.#request = new SingleMessage(encodingOf(metadata));
	}

	protected override data(chunk: Buffer): void {
		const failure = this.#request.add(chunk);
		if (failure !== null) this.finish(failure);
	}

	protected override end(): void {
		const message = this.#request.end();
		if (message instanceof GrpcFailure) {
			this.finish(message);
			return;
		}
		const nowMs = performance.now();
		if (nowMs >= this.deadlineMs) {
			this.finish(EXPIRED);
			return;
		}
		if (this.shared.turn.late(nowMs)) {
			this.shed();
			return;
		}
		let given: Given;
		try {
			given = this.method.handle(message, this.metadata);
		} catch (error) {
			this.threw(error);
			given = FAULT;
		}
		if (given instanceof Promise) this.later(given, this.deadlineMs, (reply) => this.#give(reply));
		else this.#give(given);
	}

	#give(reply: Reply): void {
		if (reply instanceof GrpcFailure) {
			this.finish(reply);
			return;
		}
		const { stream } = this;
		if (stream.destroyed || stream.closed) return;
		this.over = true;
		this.ended(GRPC.OK);
		begin(stream);
		stream.end(frame(reply));
	}

	protected override closed(): void {
		this.#request.release();
	}
}

/** grpc-encoding of the request's messages. */
export function encodingOf(metadata: IncomingHttpHeaders): string | undefined {
	const encoding = metadata["grpc-encoding"];
	return typeof encoding === "string" ? encoding : undefined;
}
