/** Reports on standard error that the access record log has dropped records because it was full. */
import type { AccessRecordsAnswer } from "../../observe/events/query/accessRecordQuery.js";

/** @param what the log holds */
export function printDropped(what: "records" | "counts", dropped: AccessRecordsAnswer["dropped"]): void {
	if (dropped === undefined) return;
	const { records, wholeSinceMs } = dropped;
	const since = new Date(wholeSinceMs).toISOString();
	process.stderr.write(
		`weir: ${records} older ${what} were dropped, the log was full; it is complete from ${since} on\n`,
	);
}
