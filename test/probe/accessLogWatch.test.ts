/** What an Envoy tells of its access log by its own counters. */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { compile } from "../../src/compiler/compile.js";
import { ACCESS_LOG_CONNECT_MS } from "../../src/limits.js";
import { DROPPED_COUNTER, watchAccessLog } from "../../src/probe/accessLogLosses.js";
import { envoyAdmin } from "../../src/probe/envoyAdmin.js";
import { EMPTY_STATUS } from "../../src/rollout/status.js";
import { bootstrapOf, startEnvoy } from "../envoy/harness.js";
import { accessPolicy, resourceSet, service, variant } from "../fixtures/resources.js";

function folder(t: Test): string {
	const path = mkdtempSync(join(tmpdir(), "weir-log-watch-"));
	t.teardown(() => rmSync(path, { recursive: true, force: true }));
	return path;
}

/** Numbers of connections that failed, of streams that failed with one, of those that wait, and of dropped entries. */
type Numbers = readonly [failed: number, ejected: number, waiting: number, dropped: number];

async function scene(t: Test) {
	const adminSocket = join(folder(t), "admin.sock");
	const at = { ms: 1_000, numbers: null as Numbers | null };
	const admin = createServer((_request, response) => {
		if (at.numbers === null) return response.end("not yet");
		const [failed, ejected, waiting, dropped] = at.numbers;
		return response.end(
			`cluster.weir_access_log.upstream_cx_connect_fail: ${failed}
cluster.weir_access_log.upstream_rq_pending_failure_eject: ${ejected}
cluster.weir_access_log.upstream_rq_pending_active: ${waiting}
${DROPPED_COUNTER}: ${dropped}\n`,
		);
	});
	await new Promise<void>((resolve) => admin.listen(adminSocket, resolve));
	t.teardown(() => admin.close());
	const told: unknown[] = [];
	const troubles = {
		failed: (sinceMs: number) => told.push(["failed", sinceMs]),
		dropped: (entries: number, sinceMs: number) => told.push(["dropped", entries, sinceMs]),
	};
	const options = { admin: envoyAdmin(adminSocket), clock: () => at.ms, fresh: true, everyMs: 3_600_000 };
	const watch = watchAccessLog(options, troubles);
	t.teardown(() => watch.close());
	const look = (ms: number, numbers: Numbers | null) => {
		at.ms = ms;
		at.numbers = numbers;
		return watch.last();
	};
	return { told, look };
}

t.test("connections that failed since the look before, from when they may have begun", async (t) => {
	const { told, look } = await scene(t);
	t.equal(await look(1_500, null), false, "nobody knows");
	t.equal(await look(2_000, [1, 0, 0, 3]), true);
	t.same(
		told.splice(0),
		[
			["dropped", 3, 1_000],
			["failed", 1_000],
		],
		"from its start on",
	);
	await look(3_000, [1, 0, 0, 3]);
	t.same(told.splice(0), []);
	await look(4_000, [1, 1, 0, 3]);
	t.same(told.splice(0), [["failed", 3_000]]);
	t.equal(await look(5_000, [1, 1, 1, 3]), false);
	t.same(told.splice(0), [["failed", 4_000]], "what waits as it ends");
	await look(8_000, [2, 2, 0, 3]);
	t.same(told.splice(0), [["failed", 4_000]], "for as long as it has waited");
	await look(9_000, [2, 2, 5, 3]);
	await look(20_000, [3, 3, 5, 3]);
	told.length = 0;
	await look(21_000, [4, 4, 0, 3]);
	t.same(told, [["failed", 20_000 - ACCESS_LOG_CONNECT_MS]], "it waits no longer");
});

for (const version of ["1.40.0", "1.38.3", "1.36.2"])
	t.test(`Envoy ${version}, whose connection cannot be made`, { timeout: 60_000 }, async (t) => {
		const accessLogSocket = join(folder(t), "nobody.sock");
		const collectors = { accessLogSocket, tracesSocket: null, traceSamplingPercent: 0 };
		const plan = compile(
			resourceSet({
				services: [service("guarded", [variant("v1", 9)], { access: null })],
				accessPolicies: [accessPolicy("ok", "allow", ["guarded"], { principals: ["anyone"], pathPrefixes: ["/ok"] })],
			}),
			EMPTY_STATUS,
			{ collectors },
		);
		let adminSocket = "";
		const envoy = await startEnvoy(
			t,
			(path) => {
				adminSocket = path;
				return bootstrapOf(plan, collectors)(path);
			},
			{ version },
		);
		const failed = new Promise<void>((resolve) => {
			const watch = watchAccessLog(
				{ admin: envoyAdmin(adminSocket), clock: Date.now, fresh: true, everyMs: 50 },
				{ failed: () => resolve(), dropped: () => undefined },
			);
			t.teardown(() => watch.close());
		});
		const denied = await fetch(`http://127.0.0.1:${envoy.port()}/no`, { headers: { host: "guarded.test" } });
		t.ok(denied.status >= 400);
		await failed;
		t.pass("it is told");
	});
