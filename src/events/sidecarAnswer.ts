/**
 * What the sidecar answered about a request, read from the dynamic metadata of its access-log entry
 * (envoy.config.core.v3.Metadata: filter_metadata = 1, a map of google.protobuf.Struct). Periodic and end entries
 * carry it, also of denied requests; a start entry never does. Measured on Envoy 1.36.2 and 1.40.0: ext_authz puts
 * it under its extension's name, whatever name the filter has in the chain; ext_proc under the namespace it was given.
 */
import { BinaryReader } from "@bufbuild/protobuf/wire";
import { METADATA_NAMESPACE } from "../compiler/calloutContext.js";
import type { AccessLogEntry } from "./accessLogEntry.js";
import { field, LENGTH_DELIMITED, lengthEnd, skip, text } from "./fieldReader.js";

/** The namespaces that the sidecar's answer may lie under. */
const NAMESPACES: ReadonlySet<string> = new Set(["envoy.filters.http.ext_authz", METADATA_NAMESPACE]);

/** As the sidecar says it; null where it says nothing. Its word alone: who counts by it checks it against the plan. */
export interface SidecarAnswer {
	/** Version of the table by which it answered. */
	readonly plan: string;
	readonly service: string | null;
	readonly experiment: string | null;
	readonly arm: string | null;
	readonly variant: string | null;
	/** Raw, and so never to be shown. */
	readonly unit: string | null;
	readonly verdict: string | null;
	readonly reason: string | null;
	readonly policy: string | null;
}

/** The answer in an entry; null where the sidecar was not asked, or gave none. */
export function sidecarAnswer(entry: AccessLogEntry): SidecarAnswer | null {
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
		const answer = namespaceAnswer(reader, entry.message, end);
		if (answer !== null) return answer;
		reader.pos = end;
	}
	return null;
}

/** One entry of the map: key = 1, Struct = 2, in this order as every encoder writes them. */
function namespaceAnswer(reader: BinaryReader, message: Buffer, end: number): SidecarAnswer | null {
	let ours = false;
	while (reader.pos < end) {
		const tag = reader.uint32();
		if (tag === field(1, LENGTH_DELIMITED)) ours = NAMESPACES.has(text(reader, message));
		else if (tag === field(2, LENGTH_DELIMITED) && ours) return answerOf(texts(reader, message, lengthEnd(reader)));
		else skip(reader, tag);
	}
	return null;
}

function answerOf(said: ReadonlyMap<string, string>): SidecarAnswer | null {
	// An absent field and an empty text both say nothing.
	const word = (name: string): string | null => said.get(name) || null;
	const plan = word("plan");
	if (plan === null) return null;
	return {
		plan,
		service: word("service"),
		experiment: word("experiment"),
		arm: word("arm"),
		variant: word("variant"),
		unit: word("unit"),
		verdict: word("verdict"),
		reason: word("reason"),
		policy: word("policy"),
	};
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
