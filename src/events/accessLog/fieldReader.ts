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

/** The text fields of a google.protobuf.Struct: fields = 1, a map whose entries are key = 1, Value = 2. */
export function structTexts(reader: BinaryReader, message: Buffer, end: number): ReadonlyMap<string, string> {
	const found = new Map<string, string>();
	while (reader.pos < end) {
		const tag = reader.uint32();
		if (tag !== field(1, LENGTH_DELIMITED)) {
			skip(reader, tag);
			continue;
		}
		const entryEnd = lengthEnd(reader);
		let key = "";
		let value: string | null = null;
		while (reader.pos < entryEnd) {
			const inner = reader.uint32();
			if (inner === field(1, LENGTH_DELIMITED)) key = text(reader, message);
			else if (inner === field(2, LENGTH_DELIMITED)) value = stringValue(reader, message, lengthEnd(reader));
			else skip(reader, inner);
		}
		if (value !== null) found.set(key, value);
	}
	return found;
}

/** google.protobuf.Value: string_value = 3; null for a value of another kind. */
function stringValue(reader: BinaryReader, message: Buffer, end: number): string | null {
	let value: string | null = null;
	while (reader.pos < end) {
		const tag = reader.uint32();
		if (tag === field(3, LENGTH_DELIMITED)) value = text(reader, message);
		else skip(reader, tag);
	}
	return value;
}
