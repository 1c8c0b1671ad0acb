/**
 * How one access-log stream of an Envoy ends, and from when on entries of it may be missing: what Envoy has written to a connection
 * that breaks, it keeps nowhere.
 */
import type { Http2Session, ServerHttp2Stream } from "node:http2";
import { MISSING_MARGIN_MS, STREAM_ENDING_MS } from "../limits.js";

export interface StreamLifeOptions {
	/** Of the stream, below gRPC; undefined = it cannot be had, and nothing is told. */
	readonly raw: ServerHttp2Stream | undefined;
	/** By a UNIX connection, whose end is noticed at once. */
	readonly isLocal: boolean;
	readonly clock: () => number;
	/** Its first message came. */
	readonly heard: (nowMs: number) => void;
	/** It broke. `sinceMs`: until when it was surely whole. */
	readonly broke: (sinceMs: number, noticedMs: number) => void;
}

export class StreamLife {
	#heardMs = 0;
	/** Its Envoy has ended it in order: nothing is under way. */
	#finished = false;
	/** When it was ended from this side in order, and when its connection was cut from here. */
	#endedMs: number | null = null;
	#cutMs: number | null = null;

	/** A stream that is gone knows it no more. */
	readonly #session: Http2Session | undefined;

	constructor(private readonly options: StreamLifeOptions) {
		this.#session = options.raw?.session;
	}

	/** A message of who may speak. */
	message(nowMs: number): void {
		if (this.#heardMs === 0) this.options.heard(nowMs);
		this.#heardMs = nowMs;
	}

	/** It is ended from this side, in order. */
	ended(): void {
		this.#endedMs = this.options.clock();
	}

	/** Its connection is cut from this side, now. */
	cut(): void {
		this.#cutMs = this.options.clock();
	}

	/** Nothing more comes: by its Envoy's word, or as it was reset or its connection broke. */
	over(): void {
		this.#finished = this.options.raw?.closed === false;
	}

	get isEnded(): boolean {
		return this.#endedMs !== null;
	}

	/** It was reset, or its connection broke. */
	cancelled(): void {
		const session = this.#session;
		if (this.#heardMs === 0 || this.#finished || session === undefined) return;
		const atMs = this.options.clock();
		if (session.destroyed) {
			this.#broke(atMs);
			return;
		}
		if (this.#endedMs !== null) return;
		// An Envoy that ends resets its streams before its connection: what it had not written by then is lost.
		const closed = (): void => this.options.broke(atMs, atMs);
		session.once("close", closed);
		setTimeout(() => session.off("close", closed), STREAM_ENDING_MS).unref();
	}

	/** Its connection has ended. */
	#broke(nowMs: number): void {
		const [endedMs, cutMs] = [this.#endedMs, this.#cutMs];
		// Its Envoy has taken the end; one that has not by then was not reached by it.
		if (endedMs !== null && cutMs === null && nowMs - endedMs <= MISSING_MARGIN_MS) return;
		// A cut is one's own, unless its Envoy did not hear of the end before it; elsewhere nobody knows since when it was none.
		const noticedMs = this.options.isLocal ? nowMs : endedMs === null ? cutMs : null;
		this.options.broke(noticedMs ?? this.#heardMs, nowMs);
	}
}
