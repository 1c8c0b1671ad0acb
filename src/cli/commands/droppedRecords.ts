/** What an answer of the decision log lacks, on standard error: records that were dropped for want of room. */
import type { DecisionsAnswer } from "../../observe/events/decisions/decisionQuery.js";

/** @param what the log is of */
export function printDropped(what: "records" | "counts", dropped: DecisionsAnswer["dropped"]): void {
	if (dropped === undefined) return;
	const { records, wholeSinceMs } = dropped;
	const since = new Date(wholeSinceMs).toISOString();
	process.stderr.write(
		`weir: ${records} older ${what} were dropped for want of room: those from ${since} on are whole\n`,
	);
}
