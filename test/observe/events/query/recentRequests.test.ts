import t from "tap";
import { RecentRequests } from "../../../../src/observe/events/query/recentRequests.js";
import type { AccessLogEntry } from "../../../../src/observe/events/receive/accessLog/accessLogEntry.js";
import { decodeMessage } from "../../../../src/observe/events/receive/accessLog/entryDecoder.js";
import { type Entry, encode } from "../rig.js";

const end = (requestId: string, over: Partial<Entry> = {}): Entry => ({
	kind: "end",
	unit: "user-1",
	requestId,
	startMs: 1_000,
	...over,
});

function decoded(...entries: readonly Entry[]): readonly AccessLogEntry[] {
	const found: AccessLogEntry[] = [];
	decodeMessage(encode(entries), (entry) => found.push(entry));
	return found;
}

const keep = (recent: RecentRequests, entries: readonly AccessLogEntry[]): void => {
	for (const entry of entries) recent.keep(entry);
};

t.test("an entry is found by its id, decoded as it came, apart from the message around it", async (t) => {
	const recent = new RecentRequests(10, 10_000);
	const entries = decoded(end("r1", { status: 200 }), end("r2", { status: 503, cluster: "shop/v2" }), end("r3"));
	keep(recent, entries);
	// The message's memory is not held: it may be used again.
	entries[0]?.message.fill(0);
	const found = recent.find("r2");
	t.match(found, { requestId: "r2", status: 503, cluster: "shop/v2", startUs: 1_000_000, kind: "end" });
	t.equal(recent.find("r"), null, "the whole id");
	t.equal(recent.find("r4"), null);
	t.equal(recent.find(""), null);
	t.equal(recent.find("user-1"), null, "an id elsewhere in the entry is not found");
});

t.test("the newer of two requests with one id is returned", async (t) => {
	const recent = new RecentRequests(10, 10_000);
	keep(recent, decoded(end("r1", { status: 500 }), end("r1", { status: 200 })));
	t.equal(recent.find("r1")?.status, 200);
});

t.test("memory is bounded by number and by bytes; the oldest go first", async (t) => {
	for (const [requests, bytes] of [
		[50, 1_000_000],
		[1_000, 12_345],
	] as const) {
		const recent = new RecentRequests(requests, bytes);
		const ids = Array.from({ length: 400 }, (_, index) => `request-${index}`);
		for (const [index, id] of ids.entries()) keep(recent, decoded(end(id, { path: `/${"x".repeat(index % 37)}` })));
		const known = ids.map((id) => recent.find(id)?.requestId === id);
		const first = known.indexOf(true);
		t.ok(first > 0 && 400 - first >= 40, `${400 - first} of 400 are kept`);
		t.ok(known.slice(first).every(Boolean), "all since the oldest that is kept, each with its own bytes");
		t.notOk(known.slice(0, first).some(Boolean));
		if (bytes > 100_000) t.equal(400 - first, requests);
	}
});

t.test("an entry larger than the whole block is not kept, and harms nothing", async (t) => {
	const recent = new RecentRequests(10, 500);
	keep(recent, decoded(end("r1"), end("r2", { path: `/${"x".repeat(1_000)}` })));
	t.equal(recent.find("r1")?.requestId, "r1");
	t.equal(recent.find("r2"), null);
});
