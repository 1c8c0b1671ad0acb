/** The state of an Envoy's access log, from its own counters. */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { DROPPED_COUNTER, watchAccessLog } from "../../../src/observe/agent/accessLogLosses.js";
import { envoyAdmin } from "../../../src/observe/agent/envoyAdmin.js";

function folder(t: Test): string {
	const path = mkdtempSync(join(tmpdir(), "weir-log-watch-"));
	t.teardown(() => rmSync(path, { recursive: true, force: true }));
	return path;
}

/** Numbers of streams that wait for a connection, and of dropped entries. */
type Numbers = readonly [waiting: number, dropped: number];

t.test("the watch counts entries dropped since its last look, and reports whether all are written", async (t) => {
	const adminSocket = join(folder(t), "admin.sock");
	const at = { ms: 1_000, numbers: null as Numbers | null };
	const admin = createServer((_request, response) => {
		if (at.numbers === null) return response.end("not yet");
		const [waiting, dropped] = at.numbers;
		return response.end(
			`cluster.weir_access_log.upstream_rq_pending_active: ${waiting}\n${DROPPED_COUNTER}: ${dropped}\n`,
		);
	});
	await new Promise<void>((resolve) => admin.listen(adminSocket, resolve));
	t.teardown(() => admin.close());
	const seen: unknown[] = [];
	const dropped = (entries: number, sinceMs: number) => seen.push([entries, sinceMs]);
	const watch = watchAccessLog(
		{ admin: envoyAdmin(adminSocket), clock: () => at.ms, fresh: true, everyMs: 3_600_000 },
		{ dropped },
	);
	t.teardown(() => watch.close());
	const look = (ms: number, numbers: Numbers | null) => {
		at.ms = ms;
		at.numbers = numbers;
		return watch.last();
	};
	t.equal(await look(1_500, null), false, "unknown");
	t.equal(await look(2_000, [0, 3]), true);
	t.same(seen.splice(0), [[3, 1_000]], "from its start on");
	t.equal(await look(3_000, [1, 3]), false, "a stream waits");
	t.same(seen, []);
});
