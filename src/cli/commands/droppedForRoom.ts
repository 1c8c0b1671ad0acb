/** What an answer of the decision log lacks, on standard error: records that were dropped for want of room. */
import type { DecisionsAnswer } from "../../events/decisions/decisionQuery.js";
import { oneLine } from "./oneLine.js";

/** @param what the log is of */
export function tellDroppedForRoom(what: "records" | "counts", dropped: DecisionsAnswer["dropped"]): void {
	for (const { namespace, records, wholeSinceMs } of dropped ?? []) {
		const whose = namespace === null ? "that name no Service" : `of namespace ${namespace}`;
		const since = new Date(wholeSinceMs).toISOString();
		const line = `weir: ${records} older ${what} ${whose} were dropped for want of room: those from ${since} on are whole`;
		process.stderr.write(`${oneLine(line)}\n`);
	}
}
