/** Reads the request of a unary method: one message in any number of chunks, until END_STREAM. */
import { MessageReader, wholeMessage } from "./framing.js";
import { GRPC, GrpcFailure } from "./service.js";

/** doc/statuscodes.md: "Request cardinality violation". */
const NONE = new GrpcFailure(GRPC.UNIMPLEMENTED, "the call has no message, it must have one");
const SEVERAL = new GrpcFailure(GRPC.UNIMPLEMENTED, "the call has more than one message, it must have one");
const TRUNCATED = new GrpcFailure(GRPC.INTERNAL, "the message is cut off");

export class SingleMessage {
	readonly #encoding: string | undefined;
	#message: Buffer | null = null;
	/** Only if the message came in several chunks. */
	#reader: MessageReader | null = null;

	constructor(encoding: string | undefined) {
		this.#encoding = encoding;
	}

	/** @returns the failure of the call, or null */
	add(chunk: Buffer): GrpcFailure | null {
		if (this.#message === null && this.#reader === null) {
			this.#message = wholeMessage(chunk);
			if (this.#message !== null) return null;
		}
		this.#reader ??= new MessageReader(this.#encoding);
		this.#reader.add(chunk);
		for (;;) {
			const next = this.#reader.next();
			if (next === null) return null;
			if (next instanceof GrpcFailure) return next;
			if (this.#message !== null) return SEVERAL;
			this.#message = next;
		}
	}

	/** At END_STREAM: the message, valid until `release`. */
	end(): Buffer | GrpcFailure {
		const more = this.#reader?.unfinished() === true;
		if (this.#message === null) return more ? TRUNCATED : NONE;
		return more ? SEVERAL : this.#message;
	}

	release(): void {
		this.#message = null;
		this.#reader?.release();
	}
}
