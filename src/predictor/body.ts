/**
 * Request bodies under three bounds: one body, all bodies together, and the number of requests at once. A request
 * is admitted before its body is read, so an overload costs no memory.
 */
import { isUtf8 } from "node:buffer";
import type { IncomingMessage } from "node:http";
import { INFER_BODY_BYTES_MAX, PREDICTOR_BODY_BYTES_TOTAL_MAX, PREDICTOR_REQUESTS_MAX } from "../limits.js";

export interface BodyLimits {
	readonly requests: number;
	readonly bodyBytes: number;
	readonly totalBytes: number;
}

export const BODY_LIMITS: BodyLimits = {
	requests: PREDICTOR_REQUESTS_MAX,
	bodyBytes: INFER_BODY_BYTES_MAX,
	totalBytes: PREDICTOR_BODY_BYTES_TOTAL_MAX,
};

export type BodyResult =
	| { readonly kind: "text"; readonly text: string }
	| { readonly kind: "too-large" | "overload" | "not-utf8" | "gone" };

export class Admission {
	readonly #limits: BodyLimits;
	#requests = 0;
	#bytes = 0;

	constructor(limits: BodyLimits) {
		this.#limits = limits;
	}

	get requests(): number {
		return this.#requests;
	}

	/** null: too many at once. The ticket is released once, when the request has been answered. */
	admit(): Ticket | null {
		if (this.#requests >= this.#limits.requests) return null;
		this.#requests++;
		let bytes = 0;
		return {
			hold: (more) => {
				if (bytes + more > this.#limits.bodyBytes) return "too-large";
				if (this.#bytes + more > this.#limits.totalBytes) return "overload";
				bytes += more;
				this.#bytes += more;
				return "held";
			},
			release: () => {
				this.#requests--;
				this.#bytes -= bytes;
			},
		};
	}
}

export interface Ticket {
	hold(bytes: number): "held" | "too-large" | "overload";
	release(): void;
}

/** Reads the whole body as UTF-8 text; stops reading at the first byte beyond a bound. */
export function readBody(request: IncomingMessage, ticket: Ticket): Promise<BodyResult> {
	return new Promise((resolve) => {
		const chunks: Buffer[] = [];
		request.on("data", (chunk: Buffer) => {
			const held = ticket.hold(chunk.length);
			if (held === "held") {
				chunks.push(chunk);
				return;
			}
			request.pause();
			resolve({ kind: held });
		});
		request.on("end", () => {
			const bytes = chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks);
			resolve(isUtf8(bytes) ? { kind: "text", text: bytes.toString("utf8") } : { kind: "not-utf8" });
		});
		request.on("close", () => resolve({ kind: "gone" }));
	});
}
