/**
 * Writes the protobuf wire format from the end to the beginning, so that the length of a message is known when it is needed,
 * without a second pass or a copy. Fields appear in reverse order of writing. The buffer is reused; results are copies.
 */

const FIRST_BYTES = 16 * 1024;
/** Maximum bytes of a tag and a length. */
const FRAME_BYTES = 10;

/** The end of a message that is being written. */
export type Mark = number;

export class ProtoWriter {
	#bytes = Buffer.allocUnsafe(FIRST_BYTES);
	/** Start of the written bytes, counted from the end of the buffer so that growing does not move it. */
	#length = 0;

	reset(): void {
		this.#length = 0;
	}

	/** Starts a message; pass the mark to close() after its fields. */
	open(): Mark {
		return this.#length;
	}

	/** Wraps the bytes since the mark as a length-delimited field. */
	close(field: number, mark: Mark): void {
		this.#varint(this.#length - mark);
		this.#varint((field << 3) | 2);
	}

	/** Adds encoded fields. */
	raw(bytes: Uint8Array): void {
		this.#room(bytes.length);
		this.#length += bytes.length;
		this.#bytes.set(bytes, this.#bytes.length - this.#length);
	}

	/** A string or bytes field of latin1 characters; ours are ASCII, and then UTF-8 is the same. */
	text(field: number, text: string): void {
		this.#room(text.length);
		this.#length += text.length;
		this.#bytes.write(text, this.#bytes.length - this.#length, text.length, "latin1");
		this.#varint(text.length);
		this.#varint((field << 3) | 2);
	}

	/** A bool, enum or unsigned field. */
	number(field: number, value: number): void {
		this.#varint(value);
		this.#varint(field << 3);
	}

	/** A copy of the message. */
	finish(): Buffer {
		const { length } = this.#bytes;
		const copy = Buffer.allocUnsafe(this.#length);
		this.#bytes.copy(copy, 0, length - this.#length, length);
		return copy;
	}

	#varint(value: number): void {
		this.#room(FRAME_BYTES);
		let size = 1;
		for (let rest = value >>> 7; rest > 0; rest >>>= 7) size++;
		this.#length += size;
		let at = this.#bytes.length - this.#length;
		let rest = value;
		while (rest > 0x7f) {
			this.#bytes[at++] = (rest & 0x7f) | 0x80;
			rest >>>= 7;
		}
		this.#bytes[at] = rest;
	}

	#room(bytes: number): void {
		if (this.#length + bytes <= this.#bytes.length) return;
		let size = this.#bytes.length * 2;
		while (size < this.#length + bytes) size *= 2;
		const larger = Buffer.allocUnsafe(size);
		this.#bytes.copy(larger, size - this.#length, this.#bytes.length - this.#length);
		this.#bytes = larger;
	}
}

/** Encodes fields once, for raw(): in the order in which `write` writes them. */
export function encoded(write: (writer: ProtoWriter) => void): Buffer {
	const writer = new ProtoWriter();
	write(writer);
	return writer.finish();
}
