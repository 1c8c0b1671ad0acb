/** Entries that an Envoy writes while ingest is down are lost, within the time that the access record log reports as missing. */

import { Agent } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import t from "tap";
import type { AccessRecordsAnswer } from "../../../../../src/observe/events/query/accessRecordQuery.js";
import { bootstrapOf, startEnvoy } from "../../../../envoy/harness.js";
import { inThisTier } from "../../../../envoy/tierVersions.js";
import { answerOf } from "../../../../fixtures/answerOf.js";
import { GUARDED, startLiveRig } from "../../rig.js";

for (const version of inThisTier(["1.40.0", "1.36.2"]))
	t.test(`Envoy ${version}: the gap covers all lost entries`, { timeout: 60_000 }, async (t) => {
		const { rig, planOf, collectors } = await startLiveRig(t);
		const plan = planOf(GUARDED);
		const envoy = await startEnvoy(t, bootstrapOf(plan, collectors), { version, concurrency: 2 });
		const agent = new Agent({ keepAlive: true });
		/** Time of each refusal by request id. */
		const denied = new Map<string, number>();
		const ask = async (): Promise<void> => {
			const { headers } = await answerOf({ port: envoy.port(), path: "/no", headers: { host: "guarded.test" }, agent });
			denied.set(String(headers["x-request-id"]), Date.now());
		};
		const askFor = async (ms: number): Promise<void> => {
			for (const until = Date.now() + ms; Date.now() < until; await pause(10)) await Promise.all([ask(), ask()]);
		};
		await askFor(2_000);
		const closing = rig.ingest.close();
		await Promise.all([closing, askFor(1_500)]);
		await Promise.all([rig.reopen(), askFor(3_000)]);
		agent.destroy();
		const asked = async () =>
			((await rig.call("GET", "/v1/requests?limit=1000", "")).json as AccessRecordsAnswer).decisions;
		/** The last ids of both connections, which two workers may hold. */
		const last = [...denied.keys()].slice(-10);
		let decisions = await asked();
		while (!last.every((id) => decisions.some(({ requestId }) => requestId === id))) {
			await pause(50);
			decisions = await asked();
		}
		const [gap, ...others] = decisions.filter(({ kind }) => kind === "records-missing");
		t.match(gap, { reason: "not-received" });
		t.same(others, []);
		const [fromMs, untilMs] = [gap?.atMs ?? 0, (gap?.atMs ?? 0) + (gap?.latencyMs ?? 0)];
		const recorded = new Set(decisions.map(({ requestId }) => requestId));
		const lost = [...denied].filter(([id]) => !recorded.has(id)).map(([, atMs]) => atMs);
		t.ok(lost.length > 20 && lost.length < denied.size, `${lost.length} of ${denied.size} have no record`);
		t.same(
			lost.filter((atMs) => atMs < fromMs || atMs > untilMs),
			[],
			`all of them within ${untilMs - fromMs} ms`,
		);
	});
