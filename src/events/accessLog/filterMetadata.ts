/**
 * The texts that filters left in an access-log entry's dynamic metadata (envoy.config.core.v3.Metadata:
 * filter_metadata = 1, a map of google.protobuf.Struct), read without building messages.
 */
import { BinaryReader } from "@bufbuild/protobuf/wire";
import type { AccessLogEntry } from "./accessLogEntry.js";
import { field, LENGTH_DELIMITED, lengthEnd, skip, structTexts, text } from "./fieldReader.js";

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
		else if (tag === field(2, LENGTH_DELIMITED) && ours) return structTexts(reader, message, lengthEnd(reader));
		else skip(reader, tag);
	}
	return null;
}
