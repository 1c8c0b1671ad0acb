/** Health/Watch: the status now, and again whenever it changes. A slow watcher misses what is already outdated. */
import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import { Call, onDrain, type Shared, STOPPING, type Stoppable } from "./call.js";
import { frame } from "./framing.js";
import type { Health } from "./health.js";
import { begin } from "./response.js";
import { GrpcFailure } from "./service.js";
import { SingleMessage } from "./singleMessage.js";
import { encodingOf } from "./unaryCall.js";

export class WatchCall extends Call implements Stoppable {
	readonly #request: SingleMessage;
	#watched: { current(): Uint8Array; stop(): void } | null = null;
	#sent: Uint8Array | null = null;

	constructor(
		stream: ServerHttp2Stream,
		path: string,
		shared: Shared,
		private readonly health: Health,
		metadata: IncomingHttpHeaders,
	) {
		super(stream, path, shared);
		this.#request = new SingleMessage(shared.partial, encodingOf(metadata));
	}

	override start(): void {
		super.start();
		this.shared.stopped.add(this);
		this.stream.on("drain", onDrain);
	}

	release(): void {
		this.finish(STOPPING);
	}

	giveUp(): void {
		this.finish(STOPPING);
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
		const watched = this.health.watch(message, () => this.drained());
		if (watched instanceof GrpcFailure) {
			this.finish(watched);
			return;
		}
		this.#watched = watched;
		this.drained();
	}

	protected override drained(): void {
		const { stream } = this;
		if (this.#watched === null || this.over || stream.destroyed || stream.closed) return;
		if (stream.writableNeedDrain) return;
		const status = this.#watched.current();
		if (status === this.#sent) return;
		if (!this.begun) {
			this.begun = true;
			begin(stream);
		}
		this.#sent = status;
		stream.write(frame(status));
	}

	protected override closed(): void {
		this.shared.stopped.delete(this);
		this.#watched?.stop();
		this.#request.release();
	}
}
