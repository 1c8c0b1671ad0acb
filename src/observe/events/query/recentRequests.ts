/**
 * The last ended requests, for `weir why`: a ring buffer of the entries' bytes, so memory is bounded and decoding is
 * deferred. In memory only: the bytes hold unit ids and paths.
 */
import type { AccessLogEntry } from "../receive/accessLog/accessLogEntry.js";
import { decodeEntry } from "../receive/accessLog/entryDecoder.js";

/** Ended requests that `weir why` can explain: minutes of a busy Gateway, hours of a quiet one. */
const RECENT_REQUESTS_MAX = 20_000;

/** Memory of their access-log entries: RECENT_REQUESTS_MAX of 1.6 KB, twice the usual size; then the oldest are dropped. */
const RECENT_REQUESTS_BYTES_MAX = 32 * 1024 * 1024;

export class RecentRequests {
	/** Ring buffer; pages never written take no memory. */
	readonly #block: Buffer;
	/** By slot: the entry's start, counted from the first byte ever written, and its length. */
	readonly #begin: Float64Array;
	readonly #length: Uint32Array;
	#next = 0;
	/** Bytes ever written, including those skipped at the block's end. */
	#written = 0;

	constructor(
		private readonly requests: number = RECENT_REQUESTS_MAX,
		bytes: number = RECENT_REQUESTS_BYTES_MAX,
	) {
		this.#block = Buffer.allocUnsafeSlow(bytes);
		this.#begin = new Float64Array(requests);
		this.#length = new Uint32Array(requests);
	}

	/** Copies the entry over the oldest ones. */
	keep({ message, at, end }: AccessLogEntry): void {
		const length = end - at;
		const size = this.#block.length;
		if (length > size) return;
		if ((this.#written % size) + length > size) this.#written += size - (this.#written % size);
		message.copy(this.#block, this.#written % size, at, end);
		this.#begin[this.#next] = this.#written;
		this.#length[this.#next] = length;
		this.#written += length;
		this.#next = (this.#next + 1) % this.requests;
	}

	/** The newest ended request with that id; null = unknown or overwritten. */
	find(requestId: string): AccessLogEntry | null {
		if (requestId === "") return null;
		for (let back = 1; back <= this.requests; back++) {
			const slot = (this.#next - back + this.requests) % this.requests;
			const begin = this.#begin[slot] ?? 0;
			const length = this.#length[slot] ?? 0;
			// All older entries are overwritten too.
			if (length === 0 || this.#written - begin > this.#block.length) return null;
			const at = begin % this.#block.length;
			const bytes = this.#block.subarray(at, at + length);
			if (!bytes.includes(requestId, 0, "latin1")) continue;
			const entry = decodeEntry(Buffer.from(bytes));
			if (entry.requestId === requestId) return entry;
		}
		return null;
	}
}
