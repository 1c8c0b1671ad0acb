/**
 * Writes protobuf's wire format from its end to its beginning: what a message holds is there before its length is
 * needed, so nothing is measured twice or copied between levels. One buffer is used again and again; what leaves it is
 * a copy. Fields come in the reverse of the order in which they are written.
 */

const FIRST_BYTES = 16 * 1024;
/** Room that a tag and a length may take. */
const FRAME_BYTES = 10;

/** A place in the writer: where a message that is being written ends. */
export type Mark = number;

export class ProtoWriter {
	#bytes = Buffer.allocUnsafe(FIRST_BYTES);
	/** Begin of what is written, counted from the end of the buffer so that growing does not move it. */
	#length = 0;

	reset(): void {
		this.#length = 0;
	}

	/** To be handed to close() when all that the message holds is written. */
	open(): Mark {
		return this.#length;
	}

	/** What was written since the mark becomes the field, length-delimited. */
	close(field: number, mark: Mark): void {
		this.#varint(this.#length - mark);
		this.#varint((field << 3) | 2);
	}

	/** Fields that were encoded before. */
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

	/** A copy of the whole. */
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

/** Bytes made once, to be put into messages with raw(): the fields in the order in which `write` writes them. */
export function encoded(write: (writer: ProtoWriter) => void): Buffer {
	const writer = new ProtoWriter();
	write(writer);
	return writer.finish();
}
