/**
 * gRPC's length-prefixed messages (grpc/grpc doc/PROTOCOL-HTTP2.md, "Length-Prefixed-Message"): one byte for
 * compression, four bytes of length, the message. DATA frames may split them anywhere.
 */
import { GRPC, GrpcFailure } from "./service.js";

/** Largest gRPC message to the sidecar: it holds request headers (GATEWAY_HEADERS_KIB) and their context. */
export const GRPC_CALLOUT_MESSAGE_BYTES_MAX = 1024 * 1024;

/** Incomplete gRPC messages of all calls together: 64 of the largest. */
const CALLOUT_PARTIAL_BYTES_MAX = 64 * GRPC_CALLOUT_MESSAGE_BYTES_MAX;

const PREFIX = 5;
const EMPTY: Buffer = Buffer.alloc(0);
const EMPTY_FRAME: Buffer = Buffer.alloc(PREFIX);

/** The message with its prefix, in one buffer: one write, one DATA frame. */
export function frame(message: Uint8Array): Buffer {
	const length = message.length;
	if (length === 0) return EMPTY_FRAME;
	const framed = Buffer.allocUnsafe(PREFIX + length);
	framed[0] = 0;
	framed.writeUInt32BE(length, 1);
	framed.set(message, PREFIX);
	return framed;
}

/** The fast path: the message without a copy, if the chunk is exactly one uncompressed message of allowed size. */
export function wholeMessage(chunk: Buffer): Buffer | null {
	const length = chunk.length - PREFIX;
	if (length < 0 || length > GRPC_CALLOUT_MESSAGE_BYTES_MAX || chunk[0] !== 0) return null;
	return chunk.readUInt32BE(1) === length ? chunk.subarray(PREFIX) : null;
}

/** Total bytes of unfinished messages of all readers of a server. */
export class PartialBytes {
	held = 0;
}

/**
 * Splits the input of one call into messages. The rest of an unfinished message is copied into one growing buffer, so a peer
 * that sends single bytes costs no more memory than its bytes.
 */
export class MessageReader {
	readonly #partial: PartialBytes;
	/** grpc-encoding of the call: decides how a compressed message is refused. */
	readonly #encoding: string | undefined;
	/** Unread bytes, in the last chunk or the own buffer. */
	#bytes: Buffer = EMPTY;
	#from = 0;
	#to = 0;
	/** Whether #bytes is the own buffer, counted in #partial. */
	#own = false;

	constructor(partial: PartialBytes, encoding: string | undefined) {
		this.#partial = partial;
		this.#encoding = encoding;
	}

	/** Adds a chunk. Then call `next` until it returns null. */
	add(chunk: Buffer): void {
		const unread = this.#to - this.#from;
		if (unread === 0) {
			this.release();
			this.#bytes = chunk;
			this.#from = 0;
			this.#to = chunk.length;
			return;
		}
		const needed = unread + chunk.length;
		if (!this.#own || needed > this.#bytes.length - this.#from) {
			const larger = Buffer.allocUnsafeSlow(Math.max(1024, needed > 2 * unread ? needed : 2 * needed));
			this.#bytes.copy(larger, 0, this.#from, this.#to);
			this.release();
			this.#bytes = larger;
			this.#own = true;
			this.#partial.held += larger.length;
			this.#from = 0;
			this.#to = unread;
		}
		chunk.copy(this.#bytes, this.#to);
		this.#to += chunk.length;
	}

	/**
	 * The next whole message, null if more bytes are needed, or the failure of the call: RESOURCE_EXHAUSTED for a message
	 * whose length is too large (before it is read) or if all calls together hold too much; UNIMPLEMENTED or INTERNAL
	 * for a compressed one (grpc/grpc doc/compression.md). The message is valid until the next `add`.
	 */
	next(): Buffer | null | GrpcFailure {
		const unread = this.#to - this.#from;
		if (unread === 0) return null;
		const flag = this.#bytes[this.#from];
		if (flag !== 0) return refusedFlag(flag, this.#encoding);
		if (unread < PREFIX) return null;
		const length = this.#bytes.readUInt32BE(this.#from + 1);
		if (length > GRPC_CALLOUT_MESSAGE_BYTES_MAX) {
			return new GrpcFailure(
				GRPC.RESOURCE_EXHAUSTED,
				`message of ${length} bytes, at most ${GRPC_CALLOUT_MESSAGE_BYTES_MAX}`,
			);
		}
		if (unread - PREFIX < length) {
			if (this.#partial.held > CALLOUT_PARTIAL_BYTES_MAX) {
				return new GrpcFailure(GRPC.RESOURCE_EXHAUSTED, "too many unfinished messages");
			}
			return null;
		}
		const begin = this.#from + PREFIX;
		this.#from = begin + length;
		return this.#bytes.subarray(begin, this.#from);
	}

	/** Whether there is an unfinished message: at the end of the stream it is truncated. */
	unfinished(): boolean {
		return this.#to !== this.#from;
	}

	/** Frees the buffer. Call it when the call has ended. */
	release(): void {
		if (this.#own) {
			this.#partial.held -= this.#bytes.length;
			this.#own = false;
		}
		this.#bytes = EMPTY;
		this.#from = 0;
		this.#to = 0;
	}
}

function refusedFlag(flag: number | undefined, encoding: string | undefined): GrpcFailure {
	if (flag !== 1) return new GrpcFailure(GRPC.INTERNAL, "malformed message prefix");
	if (encoding === undefined || encoding === "identity") {
		return new GrpcFailure(GRPC.INTERNAL, "compressed message without grpc-encoding");
	}
	return new GrpcFailure(GRPC.UNIMPLEMENTED, "compressed messages are not taken");
}
