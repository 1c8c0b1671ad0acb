/** What Envoy dropped of its access log, from its counter to whom it is told. */

import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { connect, createServer as createHttp2Server } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { DROPPED_COUNTER, droppedEntries } from "../../src/access/bypass/probe.js";
import { alarmLines } from "../../src/cli/commands/alarms.js";
import { watchForBypass } from "../../src/cli/roles/probe.js";
import { localReach } from "../../src/cli/stack/localReach.js";
import { staticBootstrap } from "../../src/compiler/bootstrap.js";
import { compile } from "../../src/compiler/compile.js";
import { watchDroppedEntries } from "../../src/probe/droppedEntries.js";
import { localAdmin } from "../../src/probe/envoyPage.js";
import { EMPTY_STATUS } from "../../src/rollout/status.js";
import { createLog } from "../../src/telemetry/log.js";
import { createMeter } from "../../src/telemetry/meter.js";
import { spiffe } from "../access/mutualTls.js";
import { startEnvoy } from "../envoy/harness.js";
import { accessPolicy, gateway, resourceSet, service, variant } from "../fixtures/resources.js";

function folder(t: Test): string {
	const path = mkdtempSync(join(tmpdir(), "weir-dropped-"));
	t.teardown(() => rmSync(path, { recursive: true, force: true }));
	return path;
}

async function until(met: () => boolean): Promise<void> {
	for (let tries = 0; !met() && tries < 400; tries++) await new Promise((resolve) => setTimeout(resolve, 25));
}

t.test("each reading tells what was dropped since the last one, and the first says nothing", async (t) => {
	const adminSocket = join(folder(t), "admin.sock");
	const readings: readonly (number | null)[] = [5, 5, 8, null, 9, 2, 2];
	let nowMs = 0;
	const asked = new Set<string>();
	const admin = createServer((request, response) => {
		asked.add(decodeURIComponent(request.url ?? ""));
		const value = readings[nowMs];
		nowMs++;
		if (value === null) response.end("not yet");
		else response.end(`${DROPPED_COUNTER}: ${value ?? 2}\n`);
	});
	await new Promise<void>((resolve) => admin.listen(adminSocket, resolve));
	const told: [number, number][] = [];
	const watch = watchDroppedEntries(
		localAdmin(adminSocket),
		() => nowMs,
		(entries, sinceMs) => told.push([entries, sinceMs]),
		1,
	);
	await until(() => nowMs >= readings.length);
	watch.close();
	admin.close();
	t.match([...asked], [/^\/stats\?usedonly&filter=\^access_logs\\\.grpc_access_log\\\./]);
	t.equal(asked.size, 1);
	t.same(
		told,
		[
			[3, 1],
			[1, 2],
			[2, 4],
		],
		"one that cannot be read makes the next interval longer; one that fell began anew with its Envoy",
	);
});

const NOTHING_COMES = { hosts: new Map(), coming: null, listener: "1", moving: false, current: false, refused: false };

t.test("it is an alarm at each Gateway of that Envoy", async (t) => {
	const at = (dropped: number) =>
		new Map([
			["http.gateway.edge.downstream_rq_active", 0],
			["http.gateway.shop/public.downstream_rq_active", 7],
			[DROPPED_COUNTER, dropped],
		]);
	t.same(droppedEntries(at(4), at(4)), []);
	t.same(
		droppedEntries(at(4), at(6)),
		["edge", "shop/public"].map((gateway) => ({ alarm: "entries-dropped", gateway, dropped: 2 })),
	);
});

for (const version of ["1.40.0", "1.38.3", "1.36.2"])
	t.test(`Envoy ${version}: what a log that is not read cannot hold is told`, { timeout: 60_000 }, async (t) => {
		const accessLogSocket = join(folder(t), "als.sock");
		// Takes streams, and reads none.
		const server = createHttp2Server();
		server.on("stream", (stream) => stream.on("error", () => undefined));
		server.on("session", (session) => t.teardown(() => session.destroy()));
		await new Promise<void>((resolve) => server.listen(accessLogSocket, resolve));
		t.teardown(() => server.close());
		const collectors = { accessLogSocket, tracesSocket: null, traceSamplingPercent: 0 };
		const gateways = [gateway({})];
		const plan = compile(
			resourceSet({
				gateways,
				services: [service("guarded", [variant("v1")], { access: null })],
				accessPolicies: [accessPolicy("alice", "allow", ["guarded"], { principals: [spiffe("alice")] })],
			}),
			EMPTY_STATUS,
			{ collectors },
		);
		let adminSocket = "";
		const envoy = await startEnvoy(
			t,
			(path) => {
				adminSocket = path;
				return staticBootstrap(plan.envoy, { collectors, adminSocket, nodeId: "test" });
			},
			{ version },
		);
		const lines: string[] = [];
		const meter = createMeter({ role: "xds" });
		const probes = watchForBypass({
			log: createLog({ role: "xds", write: (line) => lines.push(line), environment: {} }),
			meter,
			reach: localReach(adminSocket, null),
			connected: () => true,
			// No probe is sent then, whose own entry would be dropped.
			served: () => new Map([["edge", { ...NOTHING_COMES, plan: plan.version }]]),
			planOf: async () => null,
			intervalMs: 3_600_000,
		});
		t.teardown(() => probes.close());
		const alarms = async () => alarmLines(probes.standing()).filter((line) => /^ALARM/.test(line));
		probes.published({ gateways, table: plan.table, version: plan.version });
		await probes.round();
		t.same(await alarms(), []);
		let told = 0;
		const watch = watchDroppedEntries(
			localAdmin(adminSocket),
			Date.now,
			(entries) => {
				told += entries;
			},
			50,
		);
		t.teardown(() => watch.close());
		await new Promise((resolve) => setTimeout(resolve, 500));
		const session = connect(`http://127.0.0.1:${envoy.port()}`);
		session.on("error", () => undefined);
		t.teardown(() => session.destroy());
		const ask = (): Promise<number> =>
			new Promise((resolve, reject) => {
				const stream = session.request({ ":path": `/${"p".repeat(50_000)}`, ":authority": "guarded.test" });
				stream.on("response", (headers) => resolve(Number(headers[":status"]))).on("error", reject);
				stream.resume();
			});
		for (let round = 0; told === 0 && round < 60; round++)
			t.same(new Set(await Promise.all(Array.from({ length: 20 }, ask))), new Set([403]));
		await until(() => told > 0);
		t.ok(told > 0);
		t.match((await probes.round())?.dropped, [{ alarm: "entries-dropped", gateway: "edge", dropped: Number }]);
		t.match(lines, [/"level":"error".*Envoy drops access-log entries.*"gateway":"edge".*"dropped":/]);
		t.match(await alarms(), [/^ALARM entries-dropped at Gateway edge: its Envoy dropped access-log entries/]);
		t.same((await probes.round())?.dropped, [], "it ends with them");
		t.same(await alarms(), []);
	});
