/** Steps through protobuf fields without building messages: what the lazy decoders of the access log share. */
import type { BinaryReader } from "@bufbuild/protobuf/wire";

export const LENGTH_DELIMITED = 2;
export const VARINT = 0;

/** A field's tag as it stands on the wire. */
export function field(number: number, wireType: number): number {
	return (number << 3) | wireType;
}

/** Reads a length and tells where what it measures ends. Throws RangeError where the bytes end before. */
export function lengthEnd(reader: BinaryReader): number {
	const length = reader.uint32();
	const end = reader.pos + length;
	if (end > reader.len) throw new RangeError("an access-log message ends early");
	return end;
}

/** ASCII is all that Weir accepts in these fields, so a byte is a character; other bytes stay unacceptable. */
export function text(reader: BinaryReader, message: Buffer): string {
	const end = lengthEnd(reader);
	const from = reader.pos;
	reader.pos = end;
	return message.toString("latin1", from, end);
}

export function skip(reader: BinaryReader, tag: number): void {
	if ((tag & 7) === LENGTH_DELIMITED) reader.pos = lengthEnd(reader);
	else reader.skip(tag & 7, tag >>> 3);
}
