/**
 * The last ended requests, for `weir why`: their entries' own bytes, copied one after another into one block, so that memory is
 * bounded and nothing is decoded until it is asked for. In memory only: the bytes hold unit ids and paths.
 */
import { RECENT_REQUESTS_BYTES_MAX, RECENT_REQUESTS_MAX } from "../../../limits/index.js";
import { type AccessLogEntry, decodeEntry } from "./accessLogEntry.js";

export class RecentRequests {
	/** Written round and round; pages of it that were never written take no memory. */
	readonly #block: Buffer;
	/** By slot: where the entry begins, counted from the first byte ever written, and its length. */
	readonly #begin: Float64Array;
	readonly #length: Uint32Array;
	#next = 0;
	/** Bytes ever written, those skipped at the block's end included. */
	#written = 0;

	constructor(
		private readonly requests: number = RECENT_REQUESTS_MAX,
		bytes: number = RECENT_REQUESTS_BYTES_MAX,
	) {
		this.#block = Buffer.allocUnsafeSlow(bytes);
		this.#begin = new Float64Array(requests);
		this.#length = new Uint32Array(requests);
	}

	/** Keeps a copy of the entry in the place of the oldest ones. */
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

	/** The newest ended request with that id; null = it is not, or no longer, among them. */
	find(requestId: string): AccessLogEntry | null {
		if (requestId === "") return null;
		for (let back = 1; back <= this.requests; back++) {
			const slot = (this.#next - back + this.requests) % this.requests;
			const begin = this.#begin[slot] ?? 0;
			const length = this.#length[slot] ?? 0;
			// All that is older was overwritten too.
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
