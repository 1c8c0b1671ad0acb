/** The response of an overloaded Envoy is no verdict, whether or not its client reads it. */
import t from "tap";
import type { AccessLogEntry } from "../../../../../src/observe/events/receive/accessLog/accessLogEntry.js";
import { decodeMessage } from "../../../../../src/observe/events/receive/accessLog/entryDecoder.js";
import { OVERLOAD_FLAG } from "../../../../../src/observe/events/receive/accessLog/responseFlags.js";
import { denialOf } from "../../../../../src/observe/events/receive/accessLog/verdict.js";
import { accessRecordIn } from "../../../../../src/observe/events/receive/accessRecords/accessRecord.js";
import { encode } from "../../rig.js";

/** Answered by Envoy with 503; the client went before it took that. */
function left(routeName?: string): AccessLogEntry {
	const entries: AccessLogEntry[] = [];
	const one = {
		kind: "end",
		requestId: "r",
		startMs: 1,
		status: 503,
		flag: 28,
		codeDetails: "http2.remote_reset",
	} as const;
	decodeMessage(encode([{ ...one, ...(routeName === undefined ? {} : { routeName }) }]), (entry) =>
		entries.push(entry),
	);
	const [entry] = entries;
	if (entry === undefined) throw new Error("nothing was decoded");
	return entry;
}

for (const [words, entry, reason] of [
	["a protected Service's", left(), "unanswered"],
	["a closed Service's", left(""), "configuration-refused"],
] as const)
	t.test(`${words} 503 is a denial, except in an overload`, async (t) => {
		t.match(denialOf(entry), { reason });
		const overloaded = { ...entry, flags: entry.flags | OVERLOAD_FLAG };
		t.equal(denialOf(overloaded), null);
		t.match(accessRecordIn(overloaded, null), { kind: "unjudged", reason: "client-left" });
	});
