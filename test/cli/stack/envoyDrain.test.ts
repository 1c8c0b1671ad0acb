/** An Envoy that `weir envoy` stops writes its access log first: ingest reports no gap. For a killed Envoy it reports one. */

import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { Agent } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import t from "tap";
import { EnvoyAgent } from "../../../src/cli/stack/envoyAgent.js";
import { startEnvoy } from "../../../src/cli/stack/envoyProcess.js";
import { staticBootstrap } from "../../../src/compile/envoy/bootstrap.js";
import type { AccessRecordsAnswer } from "../../../src/observe/events/query/accessRecordQuery.js";
import { envoyBinary } from "../../envoy/harness.js";
import { inThisTier } from "../../envoy/tierVersions.js";
import { answerOf } from "../../fixtures/answerOf.js";
import { GUARDED, startLiveRig } from "../../observe/events/rig.js";

for (const version of inThisTier(["1.40.0", "1.36.2"]))
	t.test(
		`a stopped Envoy ${version} delivers its access log, and a gap is recorded for a killed one`,
		{ timeout: 120_000 },
		async (t) => {
			const { rig, planOf, collectors } = await startLiveRig(t);
			const plan = planOf(GUARDED);
			const directory = await mkdtemp(join(tmpdir(), "weir-drain-"));
			t.teardown(() => rm(directory, { recursive: true, force: true }));
			const adminSocket = join(directory, "admin.sock");
			let next = 0;
			const start = async () => {
				const instance = `${next++}`;
				const agent = new EnvoyAgent({
					...{ node: "test", instance, passedMs: () => performance.now() },
					open: () => connect(rig.accessLogSocket),
				});
				const envoy = await startEnvoy({
					binary: (await envoyBinary(version)).path,
					bootstrap: staticBootstrap(plan.envoy, { collectors, adminSocket, nodeId: "test", instance }),
					...{ directory, adminSocket, concurrency: 2, ended: (drained) => agent.ended(drained) },
				});
				t.teardown(() => envoy.stop());
				return envoy;
			};
			const agent = new Agent({ keepAlive: true });
			t.teardown(() => agent.destroy());
			const deny = async (port: number): Promise<string> =>
				String(
					(await answerOf({ port, path: "/no", headers: { host: "guarded.test" }, agent })).headers["x-request-id"],
				);
			const asked = async () =>
				((await rig.call("GET", "/v1/requests?limit=1000", "")).json as AccessRecordsAnswer).decisions;
			/** Gaps of Envoys, all of which are recorded as ingest ends. */
			const missing = async () => {
				await rig.restart();
				return (await asked()).filter(({ reason, gateway }) => reason === "not-received" && gateway !== null);
			};
			const drained = await start();
			const [port = 0] = drained.ports.values();
			const denied = await Promise.all(Array.from({ length: 20 }, () => deny(port)));
			await drained.stop();
			const recorded = new Set((await asked()).map(({ requestId }) => requestId));
			t.same(
				denied.filter((id) => !recorded.has(id)),
				[],
				"denials just before the stop have records",
			);
			t.same(await missing(), []);
			const killed = await start();
			const [other = 0] = killed.ports.values();
			const one = await deny(other);
			while (!(await asked()).some(({ requestId }) => requestId === one)) await pause(20);
			const ended = once(killed.process, "exit");
			killed.process.kill("SIGKILL");
			await ended;
			// Its end is noticed at once, but not before this.
			await pause(500);
			t.match(await missing(), [{ reason: "not-received", count: 0 }]);
		},
	);
