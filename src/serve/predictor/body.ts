/**
 * Request bodies under way. They are bounded in number, in bytes and in time, apart from the inferences that are asked
 * for (admission.ts): a client that does not end its body takes no place of one that has. Where room is short a body that
 * is under way is ended, not the newcomer, for else whoever holds all places shuts everybody out. One connection of an
 * Envoy carries everybody's requests, so nobody's share can be told.
 */
import { isUtf8 } from "node:buffer";
import type { IncomingMessage } from "node:http";
import { performance } from "node:perf_hooks";
import {
	INFER_BODY_BYTES_MAX,
	PREDICTOR_BODIES_MAX,
	PREDICTOR_BODY_BEHIND_MS,
	PREDICTOR_BODY_BYTES_TOTAL_MAX,
	PREDICTOR_BODY_RATE_MIN,
} from "../../limits/index.js";

export interface BodyBounds {
	/** Under way at once. */
	readonly bodies: number;
	readonly bodyBytes: number;
	/** Of all that are under way. */
	readonly totalBytes: number;
	/** Bytes a second that a body must keep up with, and how far it may fall behind. */
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
	/** `slow`: it fell too far behind. `crowded`: it was ended for another's. `gone`: its client went away. */
	| { readonly kind: "too-large" | "slow" | "crowded" | "not-utf8" | "gone" };

interface Body {
	bytes: number;
	/** When it has fallen too far behind. */
	dueMs: number;
	/** Nothing happens from the second time on. */
	end(result: BodyResult): void;
}

export class Bodies {
	readonly #bounds: BodyBounds;
	readonly #nowMs: () => number;
	/** In the order in which they began. */
	readonly #underWay = new Set<Body>();
	#bytes = 0;

	constructor(bounds: BodyBounds, nowMs: () => number = () => performance.now()) {
		this.#bounds = bounds;
		this.#nowMs = nowMs;
	}

	get underWay(): number {
		return this.#underWay.size;
	}

	/** Whether a body of that size could be taken at all. */
	fits(bytes: number): boolean {
		return bytes <= this.#bounds.bodyBytes;
	}

	/** Reads the whole body as UTF-8 text. What comes behind its end, or a bound, is thrown away. */
	read(request: IncomingMessage): Promise<BodyResult> {
		// While its decision was examined: no event would tell any more.
		if (request.destroyed) return Promise.resolve({ kind: "gone" });
		return new Promise((resolve) => {
			if (this.#underWay.size >= this.#bounds.bodies) this.#furthestBehind()?.end({ kind: "crowded" });
			const gathered = new Gathered();
			let timer: NodeJS.Timeout | undefined;
			const body: Body = {
				bytes: 0,
				dueMs: this.#nowMs() + this.#bounds.behindMs,
				end: (result) => {
					if (!this.#underWay.delete(body)) return;
					this.#bytes -= body.bytes;
					clearTimeout(timer);
					gathered.clear();
					resolve(result);
				},
			};
			this.#underWay.add(body);
			const watch = (): void => {
				const leftMs = body.dueMs - this.#nowMs();
				if (leftMs <= 0) body.end({ kind: "slow" });
				else timer = setTimeout(watch, Math.ceil(leftMs));
			};
			watch();
			request.on("data", (chunk: Buffer) => {
				if (this.#hold(body, chunk.length)) gathered.add(chunk);
			});
			request.on("end", () => body.end(gathered.result()));
			request.on("close", () => body.end({ kind: "gone" }));
		});
	}

	/** @returns false where the body has ended */
	#hold(body: Body, bytes: number): boolean {
		const { totalBytes, rate, behindMs } = this.#bounds;
		if (this.#underWay.has(body) && !this.fits(body.bytes + bytes)) body.end({ kind: "too-large" });
		// The longest under way, whoever it is of: to end one, others must have sent all these bytes since it began.
		for (const oldest of this.#underWay) {
			if (this.#bytes + bytes <= totalBytes || !this.#underWay.has(body)) break;
			if (oldest.bytes > 0 || oldest === body) oldest.end({ kind: "crowded" });
		}
		if (!this.#underWay.has(body)) return false;
		body.bytes += bytes;
		this.#bytes += bytes;
		// What was sent fast buys no longer pause later.
		body.dueMs = Math.min(body.dueMs + (bytes * 1_000) / rate, this.#nowMs() + behindMs);
		return true;
	}

	/** Not the oldest: a large body that keeps up is under way for long, and is nobody's attack. */
	#furthestBehind(): Body | null {
		let found: Body | null = null;
		for (const body of this.#underWay) if (found === null || body.dueMs < found.dueMs) found = body;
		return found;
	}
}

/** Bytes in one piece that grows: a chunk may be a single byte, and would cost a hundred as an object of its own. */
class Gathered {
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
