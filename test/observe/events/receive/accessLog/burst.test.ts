/** Entries of a burst of requests with long paths are kept until ingest has read them. */

import { once } from "node:events";
import { connect } from "node:http2";
import { connect as connectSocket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import t from "tap";
import type { AccessRecordsAnswer } from "../../../../../src/observe/events/query/accessRecordQuery.js";
import {
	ACCESS_LOG_STREAMS_MAX,
	ACCESS_LOG_WINDOW_BYTES,
} from "../../../../../src/observe/events/receive/accessLog/accessLog.js";
import { spiffe } from "../../../../compile/access/mutualTls.js";
import { bootstrapOf, startEnvoy } from "../../../../envoy/harness.js";
import { accessPolicy, gateway, resourceSet, service, variant } from "../../../../fixtures/resources.js";
import { startLiveRig, startRig } from "../../rig.js";

t.test("the access log's window is wide, by stream and by connection", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	const session = connect("http://ingest", { createConnection: () => connectSocket(rig.accessLogSocket) });
	t.teardown(() => session.destroy());
	const [settings] = await once(session, "remoteSettings");
	t.equal(settings.initialWindowSize, ACCESS_LOG_WINDOW_BYTES);
	t.equal(settings.maxConcurrentStreams, ACCESS_LOG_STREAMS_MAX);
	for (let tries = 0; session.state.remoteWindowSize !== ACCESS_LOG_WINDOW_BYTES && tries < 100; tries++)
		await new Promise((resolve) => setTimeout(resolve, 20));
	t.equal(session.state.remoteWindowSize, ACCESS_LOG_WINDOW_BYTES);
});

for (const version of ["1.40.0", "1.36.2"])
	t.test(`Envoy ${version}: of 13 MB of entries at once none is dropped`, { timeout: 60_000 }, async (t) => {
		const { rig, planOf, collectors } = await startLiveRig(t);
		const plan = planOf(
			resourceSet({
				gateways: [gateway({})],
				services: [service("guarded", [variant("v1")], { access: null })],
				accessPolicies: [accessPolicy("alice", "allow", ["guarded"], { principals: [spiffe("alice")] })],
			}),
		);
		const envoy = await startEnvoy(t, bootstrapOf(plan, collectors), { version });
		const session = connect(`http://127.0.0.1:${envoy.port()}`);
		session.on("error", () => undefined);
		t.teardown(() => session.destroy());
		const ask = (length: number): Promise<number> =>
			new Promise((resolve, reject) => {
				const stream = session.request({ ":path": `/${"p".repeat(length)}`, ":authority": "guarded.test" });
				stream.on("response", (headers) => resolve(Number(headers[":status"]))).on("error", reject);
				stream.resume();
			});
		// Until its stream to ingest is there, Envoy keeps next to nothing.
		t.equal(await ask(1), 403);
		while (((await rig.call("GET", "/v1/requests", "")).json as AccessRecordsAnswer).decisions.length === 0)
			await pause(20);
		t.same(new Set(await Promise.all(Array.from({ length: 130 }, () => ask(50_000)))), new Set([403]));
		t.equal(await envoy.stat("access_logs.grpc_access_log.logs_written"), 262);
		t.equal(await envoy.stat("access_logs.grpc_access_log.logs_dropped"), 0);
	});
