/**
 * Reads request bodies, with limits of number, bytes and time separate from inferences (admission.ts), so that unfinished
 * bodies do not block complete requests. At a limit an older body is aborted, not the new one, so that slow clients cannot
 * block others. There is no limit per client, because Envoy's connections carry requests of many clients.
 */
import { isUtf8 } from "node:buffer";
import type { IncomingMessage } from "node:http";
import { performance } from "node:perf_hooks";
import { INFER_BODY_BYTES_MAX, PREDICTOR_BODY_BYTES_TOTAL_MAX } from "../../limits/index.js";

/** Slowest upload, in bytes a second: the largest body may take 15 minutes. */
const PREDICTOR_BODY_RATE_MIN = 16 * 1024;

/** Inference bodies in transfer; beyond it the slowest one is ended with 408 for the new one. */
const PREDICTOR_BODIES_MAX = 1_024;

/** How far a body may fall behind PREDICTOR_BODY_RATE_MIN, for example in a pause of the client. */
const PREDICTOR_BODY_BEHIND_MS = 20_000;

export interface BodyBounds {
	/** Maximum of concurrent bodies. */
	readonly bodies: number;
	readonly bodyBytes: number;
	/** Maximum of bytes in all concurrent bodies. */
	readonly totalBytes: number;
	/** Minimum bytes per second, and how far a body may fall behind. */
	readonly rate: number;
	readonly behindMs: number;
}

export const BODY_BOUNDS: BodyBounds = {
	bodies: PREDICTOR_BODIES_MAX,
	bodyBytes: INFER_BODY_BYTES_MAX,
	totalBytes: PREDICTOR_BODY_BYTES_TOTAL_MAX,
	rate: PREDICTOR_BODY_RATE_MIN,
	behindMs: PREDICTOR_BODY_BEHIND_MS,
};

export type BodyResult =
	| { readonly kind: "text"; readonly text: string; readonly bytes: number }
	/** `slow`: below the minimum rate. `crowded`: aborted for another body. `gone`: the client disconnected. */
	| { readonly kind: "too-large" | "slow" | "crowded" | "not-utf8" | "gone" };

interface Body {
	bytes: number;
	/** When it is aborted as slow. */
	dueMs: number;
	/** Only the first call has an effect. */
	end(result: BodyResult): void;
}

export class Bodies {
	readonly #bounds: BodyBounds;
	readonly #nowMs: () => number;
	/** Oldest first. */
	readonly #inProgress = new Set<Body>();
	#bytes = 0;

	constructor(bounds: BodyBounds, nowMs: () => number = () => performance.now()) {
		this.#bounds = bounds;
		this.#nowMs = nowMs;
	}

	get inProgress(): number {
		return this.#inProgress.size;
	}

	/** Whether a body of that size is allowed. */
	fits(bytes: number): boolean {
		return bytes <= this.#bounds.bodyBytes;
	}

	/** Reads the whole body as UTF-8 text. Bytes beyond a limit are discarded. */
	read(request: IncomingMessage): Promise<BodyResult> {
		// Disconnected before this call, so no event follows.
		if (request.destroyed) return Promise.resolve({ kind: "gone" });
		return new Promise((resolve) => {
			if (this.#inProgress.size >= this.#bounds.bodies) this.#furthestBehind()?.end({ kind: "crowded" });
			const buffer = new BodyBuffer();
			let timer: NodeJS.Timeout | undefined;
			const body: Body = {
				bytes: 0,
				dueMs: this.#nowMs() + this.#bounds.behindMs,
				end: (result) => {
					if (!this.#inProgress.delete(body)) return;
					this.#bytes -= body.bytes;
					clearTimeout(timer);
					buffer.clear();
					resolve(result);
				},
			};
			this.#inProgress.add(body);
			const checkRate = (): void => {
				const leftMs = body.dueMs - this.#nowMs();
				if (leftMs <= 0) body.end({ kind: "slow" });
				else timer = setTimeout(checkRate, Math.ceil(leftMs));
			};
			checkRate();
			request.on("data", (chunk: Buffer) => {
				if (this.#hold(body, chunk.length)) buffer.add(chunk);
			});
			request.on("end", () => body.end(buffer.result()));
			request.on("close", () => body.end({ kind: "gone" }));
		});
	}

	/** @returns false if the body has ended */
	#hold(body: Body, bytes: number): boolean {
		const { totalBytes, rate, behindMs } = this.#bounds;
		if (this.#inProgress.has(body) && !this.fits(body.bytes + bytes)) body.end({ kind: "too-large" });
		// Oldest first: to abort a body, clients must have sent the total limit since it started.
		for (const oldest of this.#inProgress) {
			if (this.#bytes + bytes <= totalBytes || !this.#inProgress.has(body)) break;
			if (oldest.bytes > 0 || oldest === body) oldest.end({ kind: "crowded" });
		}
		if (!this.#inProgress.has(body)) return false;
		body.bytes += bytes;
		this.#bytes += bytes;
		// Sending fast does not allow a longer pause later.
		body.dueMs = Math.min(body.dueMs + (bytes * 1_000) / rate, this.#nowMs() + behindMs);
		return true;
	}

	/** The slowest instead of the oldest, because a large body takes long at a good rate. */
	#furthestBehind(): Body | null {
		let found: Body | null = null;
		for (const body of this.#inProgress) if (found === null || body.dueMs < found.dueMs) found = body;
		return found;
	}
}

/** A growing buffer: a list of 1-byte chunks would take a hundred times the memory. */
class BodyBuffer {
	#space: Buffer = Buffer.alloc(0);
	#bytes = 0;

	add(chunk: Buffer): void {
		const bytes = this.#bytes + chunk.length;
		if (bytes > this.#space.length) {
			const larger = Buffer.allocUnsafeSlow(Math.max(bytes, 2 * this.#space.length));
			this.#space.copy(larger, 0, 0, this.#bytes);
			this.#space = larger;
		}
		chunk.copy(this.#space, this.#bytes);
		this.#bytes = bytes;
	}

	result(): BodyResult {
		const whole = this.#space.subarray(0, this.#bytes);
		if (!isUtf8(whole)) return { kind: "not-utf8" };
		return { kind: "text", text: whole.toString("utf8"), bytes: this.#bytes };
	}

	clear(): void {
		this.#space = Buffer.alloc(0);
		this.#bytes = 0;
	}
}
