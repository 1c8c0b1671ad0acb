import { readFileSync } from "node:fs";
import t from "tap";
import type { AccessLogEntry } from "../../../../../src/observe/events/receive/accessLog/accessLogEntry.js";
import { decodeMessage } from "../../../../../src/observe/events/receive/accessLog/entryDecoder.js";
import { FAILED_FLAGS, UNHEALTHY_FLAGS } from "../../../../../src/observe/events/receive/accessLog/responseFlags.js";

// Bytes made by the official descriptors: see fixtures/access_log_messages.py.
const fixtures = JSON.parse(
	readFileSync(
		new URL(
			"../../../../../../test/observe/events/receive/accessLog/fixtures/access_log_messages.json",
			import.meta.url,
		),
		"utf8",
	),
) as { startAndEnd: string; periodic: string; streamIdOnly: string; flags: Record<string, string> };

function decode(base64: string): readonly AccessLogEntry[] {
	const entries: AccessLogEntry[] = [];
	decodeMessage(Buffer.from(base64, "base64"), (entry) => entries.push(entry));
	return entries;
}

t.test("every field that Weir reads has the upstream number", async (t) => {
	const [start, end] = decode(fixtures.startAndEnd);
	t.match(start, { kind: "start", status: 0 });
	t.match(end, {
		kind: "end",
		routeName: "weir|0123456789abcdef|team/shop|team/models",
		cluster: "team/shop/v2",
		requestId: "f0000000-0000-4000-8000-000000000002",
		startUs: 1_795_535_000_123_456,
		durationMs: 1250.5,
		status: 200,
		flags: 0,
	});
	t.equal(start?.startUs, end?.startUs);
});

t.test("request headers are found by name at any position", async (t) => {
	const [entry] = decode(fixtures.startAndEnd);
	t.same([...(entry?.headers ?? [])].sort(), [
		["x-other", "other"],
		["x-third", ""],
		["x-user-id", "user-1"],
	]);
});

t.test("a periodic entry is decoded as periodic", async (t) => {
	t.match(decode(fixtures.periodic), [{ kind: "periodic" }]);
});

t.test("an entry without x-request-id has the stream id as its request id", async (t) => {
	t.match(decode(fixtures.streamIdOnly), [{ requestId: "f0000000-0000-4000-8000-000000000001", status: 503 }]);
});

t.test("response flags count against the arm as in docs/experiments.md", async (t) => {
	const unhealthy = new Set([
		"no_healthy_upstream",
		"upstream_request_timeout",
		"local_reset",
		"upstream_remote_reset",
		"upstream_connection_failure",
		"upstream_connection_termination",
		"upstream_overflow",
		"no_route_found",
		"upstream_retry_limit_exceeded",
		"upstream_max_stream_duration_reached",
		"duration_timeout",
		"upstream_protocol_error",
		"no_cluster_found",
		"dns_resolution_failure",
	]);
	const failed = new Set([
		...unhealthy,
		"downstream_connection_termination",
		"stream_idle_timeout",
		"downstream_remote_reset",
	]);
	t.ok(Object.keys(fixtures.flags).length >= 26);
	for (const [name, message] of Object.entries(fixtures.flags)) {
		const flags = decode(message)[0]?.flags ?? 0;
		t.equal((flags & UNHEALTHY_FLAGS) !== 0, unhealthy.has(name), name);
		t.equal((flags & FAILED_FLAGS) !== 0, failed.has(name), name);
	}
});

t.test("a message that ends early is refused", async (t) => {
	const bytes = Buffer.from(fixtures.startAndEnd, "base64");
	t.throws(() => decodeMessage(bytes.subarray(0, bytes.length - 3), () => undefined), RangeError);
});
