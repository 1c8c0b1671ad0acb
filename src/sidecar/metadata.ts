/**
 * Dynamic metadata: what the access log and later filters learn of an answer, as a google.protobuf.Struct of strings.
 * Absent is what is null.
 */
import { encoded, type ProtoWriter } from "./protoWriter.js";
import type { Ruling } from "./question.js";

/** The entries of the Struct that a ruling alone gives; the unit's is added per request. */
export function rulingEntries(ruling: Ruling): Buffer {
	const { plan, service, experiment, arm, variant, verdict, reason, policy, shadow, shadowPolicy } = ruling;
	const entries = { plan, service, experiment, arm, variant, verdict, reason, policy, shadow, shadowPolicy };
	return encoded((writer) => {
		for (const [key, value] of Object.entries(entries)) if (value !== null) writeEntry(writer, key, value);
	});
}

/** Writes the entries of one answer; the caller closes the Struct around them. */
export function writeEntries(writer: ProtoWriter, entries: Buffer, unit: string | null): void {
	if (unit !== null) writeEntry(writer, "unit", unit);
	writer.raw(entries);
}

/** Struct: fields 1, an entry of key 1 and value 2; Value: string_value 3. */
function writeEntry(writer: ProtoWriter, key: string, value: string): void {
	const entry = writer.open();
	writer.text(3, value);
	writer.close(2, entry);
	writer.text(1, key);
	writer.close(1, entry);
}
