/**
 * A bidirectional call: one reply per message, in order. While replies are backed up or promised, no messages are read, so
 * that buffered input stays below the flow-control window.
 *
 * Only the first message is shed when the event loop is late. Later ones may come minutes after it (ext_proc sends the
 * response headers when the upstream has answered), and refusing them would fail a request that was already decided. A
 * server that stops ends a stream after its first reply with OK: Envoy then continues without it (ext_proc's
 * external_processor.proto).
 */
import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import { performance } from "node:perf_hooks";
import { Call, EXPIRED, FAULT, onDrain, type Shared, STOPPING, type Stoppable } from "./call.js";
import { frame, MessageReader } from "./framing.js";
import { begin } from "./response.js";
import { type Given, GRPC, GrpcFailure, type Reply, type StreamHandler, type StreamMethod } from "./service.js";
import { encodingOf } from "./unaryCall.js";

const TRUNCATED = new GrpcFailure(GRPC.INTERNAL, "the last message is cut off");

export class StreamCall extends Call implements Stoppable {
	readonly #reader: MessageReader;
	#handler: StreamHandler | null = null;
	/** The peer does not read its replies. */
	#blocked = false;
	/** The reply to the last message is promised. */
	#awaits = false;

	/** @param deadlineMs on the clock of performance.now() */
	constructor(
		stream: ServerHttp2Stream,
		path: string,
		shared: Shared,
		private readonly method: StreamMethod,
		private readonly metadata: IncomingHttpHeaders,
		private readonly deadlineMs: number,
	) {
		super(stream, path, shared);
		this.#reader = new MessageReader(encodingOf(metadata));
	}

	override start(): void {
		super.start();
		this.shared.stopped.add(this);
		this.stream.on("drain", onDrain);
		try {
			this.#handler = this.method.open(this.metadata);
		} catch (error) {
			this.threw(error);
			this.finish(FAULT);
		}
	}

	release(): void {
		if (this.begun) this.finish(null);
	}

	giveUp(): void {
		this.finish(this.begun ? null : STOPPING);
	}

	protected override data(chunk: Buffer): void {
		this.#reader.add(chunk);
		this.#answer();
	}

	protected override end(): void {
		this.#answer();
	}

	protected override drained(): void {
		if (!this.#blocked) return;
		this.#blocked = false;
		this.#goOn();
	}

	protected override closed(): void {
		this.shared.stopped.delete(this);
		this.#reader.release();
		try {
			this.#handler?.ended();
		} catch (error) {
			this.threw(error);
		}
	}

	#goOn(): void {
		this.#answer();
		if (!this.#blocked && !this.#awaits) this.stream.resume();
	}

	/** Answers buffered messages while the peer reads the replies. */
	#answer(): void {
		while (!this.#blocked && !this.#awaits && !this.over) {
			const message = this.#reader.next();
			if (message === null) {
				if (this.inputEnded) this.finish(this.#reader.unfinished() ? TRUNCATED : null);
				return;
			}
			if (message instanceof GrpcFailure) {
				this.finish(message);
				return;
			}
			this.#reply(message);
		}
	}

	#reply(message: Buffer): void {
		const nowMs = performance.now();
		if (nowMs >= this.deadlineMs) {
			this.finish(EXPIRED);
			return;
		}
		// For every message, because the work of later ones counts too.
		const late = this.shared.turn.late(nowMs);
		if (late && !this.begun) {
			this.shed();
			return;
		}
		let given: Given;
		try {
			given = this.#handler === null ? FAULT : this.#handler.message(message);
		} catch (error) {
			this.threw(error);
			given = FAULT;
		}
		if (!(given instanceof Promise)) {
			this.#give(given);
			return;
		}
		this.#awaits = true;
		this.stream.pause();
		this.later(given, this.deadlineMs, (reply) => {
			this.#awaits = false;
			this.#give(reply);
			if (!this.over) this.#goOn();
		});
	}

	#give(reply: Reply): void {
		if (reply instanceof GrpcFailure) {
			this.finish(reply);
			return;
		}
		const { stream } = this;
		if (stream.destroyed || stream.closed) {
			this.finish(null);
			return;
		}
		if (!this.begun) {
			this.begun = true;
			begin(stream);
		}
		if (!stream.write(frame(reply))) {
			this.#blocked = true;
			stream.pause();
		}
		if (this.shared.draining) this.release();
	}
}
