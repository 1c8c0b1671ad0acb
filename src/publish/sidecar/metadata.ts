/** Dynamic metadata for the access log and later filters: a google.protobuf.Struct of strings, without null values. */
import { encoded, type ProtoWriter } from "./protoWriter.js";
import type { Answer, Ruling } from "./question.js";

/** The entries of a ruling; those of the unit and of a proxy's client are added per request. */
export function rulingEntries(ruling: Ruling): Buffer {
	const { plan, service, experiment, arm, variant, verdict, reason, policy, fault } = ruling;
	const { shadow, shadowReason, shadowPolicy } = ruling;
	const judged = { verdict, reason, policy, fault, shadow, shadowReason, shadowPolicy };
	const entries = { plan, service, experiment, arm, variant, ...judged };
	return encoded((writer) => {
		for (const [key, value] of Object.entries(entries)) if (value !== null) writeEntry(writer, key, value);
	});
}

/** Writes the entries of one answer; the caller writes the enclosing Struct. */
export function writeEntries(
	writer: ProtoWriter,
	entries: Buffer,
	{ unit, forwarded }: Pick<Answer, "unit" | "forwarded">,
): void {
	if (unit !== null) writeEntry(writer, "unit", unit);
	if (forwarded !== null) {
		writeEntry(writer, "via", forwarded.via);
		if (forwarded.principal !== null) writeEntry(writer, "principal", forwarded.principal);
	}
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
