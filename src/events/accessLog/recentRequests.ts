/**
 * The last ended requests, as Envoy told of them: what `weir why` looks into. Kept are the entries' own bytes, copied
 * one after another into one block, so that memory is bounded whatever the messages around them are; nothing is
 * decoded, and no index kept, until somebody asks. In memory only: the bytes hold unit ids and paths.
 */
import { RECENT_REQUESTS_BYTES_MAX, RECENT_REQUESTS_MAX } from "../../limits.js";
import { type AccessLogEntry, decodeSingle } from "./accessLogEntry.js";

export interface RecentRequest {
	/** Decoded from a copy of its own. */
	readonly entry: AccessLogEntry;
	/** Epoch milliseconds by ingest's clock. */
	readonly receivedMs: number;
}

export class RecentRequests {
	/** Written round and round; pages of it that were never written take no memory. */
	readonly #block: Buffer;
	/** By slot: where the entry begins, counted from the first byte ever written; its length; when it came. */
	readonly #begin: Float64Array;
	readonly #length: Uint32Array;
	readonly #receivedMs: Float64Array;
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
		this.#receivedMs = new Float64Array(requests);
	}

	/** Keeps a copy of the entry and forgets the oldest ones that it takes the place of. */
	keep({ message, entryAt, entryEnd }: AccessLogEntry, receivedMs: number): void {
		const length = entryEnd - entryAt;
		const size = this.#block.length;
		if (length > size) return;
		let at = this.#written % size;
		if (at + length > size) {
			this.#written += size - at;
			at = 0;
		}
		message.copy(this.#block, at, entryAt, entryEnd);
		this.#begin[this.#next] = this.#written;
		this.#length[this.#next] = length;
		this.#receivedMs[this.#next] = receivedMs;
		this.#written += length;
		this.#next = (this.#next + 1) % this.requests;
	}

	/** The newest ended request with that id; null where it is not (or no longer) among those kept. */
	find(requestId: string): RecentRequest | null {
		const needle = Buffer.from(requestId, "latin1");
		if (needle.length === 0) return null;
		for (let back = 1; back <= this.requests; back++) {
			const slot = (this.#next - back + this.requests) % this.requests;
			const begin = this.#begin[slot] ?? 0;
			const length = this.#length[slot] ?? 0;
			// All that is older was overwritten too.
			if (length === 0 || this.#written - begin > this.#block.length) return null;
			const at = begin % this.#block.length;
			const bytes = this.#block.subarray(at, at + length);
			if (!bytes.includes(needle)) continue;
			const entry = decodeSingle(Buffer.from(bytes));
			if (entry.requestId === requestId) return { entry, receivedMs: this.#receivedMs[slot] ?? 0 };
		}
		return null;
	}
}
