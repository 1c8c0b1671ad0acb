/**
 * A lazy reader of the protobuf wire format (protobuf.dev, "Encoding"): the caller walks the fields and skips the others.
 * Stricter than a full decoder: a field that exceeds its message, has a wrong wire type or is truncated is malformed.
 */

/** Nested groups in one message to the sidecar: the limit of protobuf's own readers. */
const PROTO_GROUPS_DEPTH_MAX = 100;

/** The bytes are no message of the expected type. */
export class Malformed extends Error {
	override readonly name = "Malformed";
}

// Created once: a flood of malformed messages must not cost stack traces.
const MALFORMED = new Malformed("the message is not well-formed protobuf");

export function malformed(): never {
	throw MALFORMED;
}

const VARINT = 0;
const FIXED64 = 1;
const LENGTH_DELIMITED = 2;
const START_GROUP = 3;
const END_GROUP = 4;
const FIXED32 = 5;

/** Tag of a length-delimited field (strings, bytes, messages, maps), as tag() reads it. */
export const delimited = (field: number): number => (field << 3) | LENGTH_DELIMITED;

export class ProtoReader {
	bytes: Buffer = Buffer.alloc(0);
	at = 0;

	reset(bytes: Buffer): void {
		this.bytes = bytes;
		this.at = 0;
	}

	/** Field number and wire type. A tag of a known field with another wire type is malformed: use expect(). */
	tag(end: number): number {
		const tag = this.#uint32(end, true);
		if (tag >>> 3 === 0 || (tag & 7) > FIXED32) malformed();
		return tag;
	}

	/** Enters a length-delimited value and returns its end. The caller reads up to there, or sets `at`. */
	enter(end: number): number {
		const length = this.#uint32(end, false);
		const inner = this.at + length;
		if (inner > end) malformed();
		return inner;
	}

	/** A bool. */
	bool(end: number): boolean {
		let any = 0;
		for (let count = 0; count < 10 && this.at < end; count++) {
			const byte = this.bytes[this.at++] ?? 0;
			any |= byte & 0x7f;
			if (byte < 0x80) return any !== 0;
		}
		return malformed();
	}

	/** A length-delimited value as latin1. */
	text(end: number): string {
		const inner = this.enter(end);
		const value = this.bytes.toString("latin1", this.at, inner);
		this.at = inner;
		return value;
	}

	/** Skips a field. */
	skip(tag: number, end: number, depth = 0): void {
		switch (tag & 7) {
			case VARINT:
				this.bool(end);
				return;
			case FIXED64:
				this.at += 8;
				break;
			case FIXED32:
				this.at += 4;
				break;
			case LENGTH_DELIMITED:
				this.at = this.enter(end);
				return;
			case START_GROUP:
				this.#skipGroup(tag >>> 3, end, depth);
				return;
			default:
				malformed();
		}
		if (this.at > end) malformed();
	}

	#skipGroup(field: number, end: number, depth: number): void {
		if (depth >= PROTO_GROUPS_DEPTH_MAX) malformed();
		for (;;) {
			const tag = this.tag(end);
			if ((tag & 7) === END_GROUP) {
				if (tag >>> 3 !== field) malformed();
				return;
			}
			this.skip(tag, end, depth + 1);
		}
	}

	/** A varint's low 32 bits; a tag may take five bytes, a length ten with zeros at the end (as protobuf-es). */
	#uint32(end: number, isTag: boolean): number {
		const first = this.at < end ? (this.bytes[this.at++] ?? 0) : malformed();
		if (first < 0x80) return first;
		let value = first & 0x7f;
		for (let count = 1; count < 10; count++) {
			const byte = this.at < end ? (this.bytes[this.at++] ?? 0) : malformed();
			if (count < 4) value |= (byte & 0x7f) << (7 * count);
			// Lengths and tags have 32 bits; other decoders truncate and read a different message.
			else if (count === 4 ? (byte & 0x70) !== 0 || (isTag && byte > 0x0f) : (byte & 0x7f) !== 0) malformed();
			else if (count === 4) value |= (byte & 0x0f) << 28;
			if (byte < 0x80) return value >>> 0;
		}
		return malformed();
	}
}

/** Requires the wire type of `want`, a tag of the same field. */
export function expect(tag: number, want: number): void {
	if (tag !== want) malformed();
}
