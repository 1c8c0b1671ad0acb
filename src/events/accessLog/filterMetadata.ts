/**
 * The texts that filters left in an access-log entry's dynamic metadata (envoy.config.core.v3.Metadata:
 * filter_metadata = 1, a map of google.protobuf.Struct), read without building messages.
 */
import { BinaryReader } from "@bufbuild/protobuf/wire";
import type { AccessLogEntry } from "./accessLogEntry.js";
import { field, LENGTH_DELIMITED, lengthEnd, skip, text } from "./fieldReader.js";

/**
 * The text fields of each of the namespaces, in the entry's order, until `take` answers something.
 * @returns what `take` answered; null where it never did
 */
export function eachNamespace<Found>(
	entry: AccessLogEntry,
	namespaces: ReadonlySet<string>,
	take: (said: ReadonlyMap<string, string>) => Found | null,
): Found | null {
	if (entry.metadataAt === entry.metadataEnd) return null;
	const reader = new BinaryReader(entry.message);
	reader.pos = entry.metadataAt;
	while (reader.pos < entry.metadataEnd) {
		const tag = reader.uint32();
		if (tag !== field(1, LENGTH_DELIMITED)) {
			skip(reader, tag);
			continue;
		}
		const end = lengthEnd(reader);
		const said = namespaceTexts(reader, entry.message, end, namespaces);
		const found = said === null ? null : take(said);
		if (found !== null) return found;
		reader.pos = end;
	}
	return null;
}

/** One entry of the map: key = 1, Struct = 2, in this order as every encoder writes them. */
function namespaceTexts(
	reader: BinaryReader,
	message: Buffer,
	end: number,
	namespaces: ReadonlySet<string>,
): ReadonlyMap<string, string> | null {
	let ours = false;
	while (reader.pos < end) {
		const tag = reader.uint32();
		if (tag === field(1, LENGTH_DELIMITED)) ours = namespaces.has(text(reader, message));
		else if (tag === field(2, LENGTH_DELIMITED) && ours) return texts(reader, message, lengthEnd(reader));
		else skip(reader, tag);
	}
	return null;
}

/** The text fields of a google.protobuf.Struct: fields = 1, a map whose entries are key = 1, Value = 2. */
function texts(reader: BinaryReader, message: Buffer, end: number): ReadonlyMap<string, string> {
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
