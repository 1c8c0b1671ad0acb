/**
 * gRPC's length-prefixed messages (grpc/grpc doc/PROTOCOL-HTTP2.md, "Length-Prefixed-Message"): one byte that says
 * whether the message is compressed, four bytes of length, the message. DATA frames cut them anywhere.
 */
import { CALLOUT_PARTIAL_BYTES_MAX, GRPC_CALLOUT_MESSAGE_BYTES_MAX } from "../../../limits/index.js";
import { GRPC, GrpcFailure } from "./service.js";

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

/** The message, where the chunk is exactly one uncompressed message of allowed size: nearly always. Nothing is copied. */
export function wholeMessage(chunk: Buffer): Buffer | null {
	const length = chunk.length - PREFIX;
	if (length < 0 || length > GRPC_CALLOUT_MESSAGE_BYTES_MAX || chunk[0] !== 0) return null;
	return chunk.readUInt32BE(1) === length ? chunk.subarray(PREFIX) : null;
}

/** Bytes of unfinished messages that all readers of a server hold together. */
export class PartialBytes {
	held = 0;
}

/**
 * Cuts the bytes of one direction of one call into messages. What is left of an unfinished message is copied into one
 * buffer that grows by doubling: chunks are not kept, so a peer that sends byte by byte costs no more than its bytes.
 */
export class MessageReader {
	readonly #partial: PartialBytes;
	/** grpc-encoding of the call: decides how a compressed message is refused. */
	readonly #encoding: string | undefined;
	/** Unread bytes: of the last chunk, or the own buffer. */
	#bytes: Buffer = EMPTY;
	#from = 0;
	#to = 0;
	/** Whether #bytes is the own buffer, counted in #partial. */
	#own = false;

	constructor(partial: PartialBytes, encoding: string | undefined) {
		this.#partial = partial;
		this.#encoding = encoding;
	}

	/** Takes a chunk. Afterwards `next` is called until it has no more. */
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
	 * The next whole message, null where more bytes are needed, or how the call ends: RESOURCE_EXHAUSTED for a message
	 * that says it is too large (before it is read) or when all calls together hold too much; UNIMPLEMENTED or INTERNAL
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

	/** Bytes are left that make no whole message: at the end of the stream it was cut off. */
	unfinished(): boolean {
		return this.#to !== this.#from;
	}

	/** Gives up what is held. To be called when the call is over. */
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
