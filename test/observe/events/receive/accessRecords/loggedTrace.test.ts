/** Records of the access record log have their request's trace at every tested Envoy, even without sampling. */
import { mkdtemp, rm } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import t, { type Test } from "tap";
import { compile } from "../../../../../src/compile/compile.js";
import type { Collectors } from "../../../../../src/compile/plan/compiledPlan.js";
import { EMPTY_STATUS } from "../../../../../src/decide/rollout/status.js";
import type {
	AccessRecordsAnswer,
	ShownAccessRecord,
} from "../../../../../src/observe/events/query/accessRecordQuery.js";
import { startOtlpReceiver } from "../../../../../src/observe/telemetry/otlpReceiver.js";
import { SpanStore } from "../../../../../src/observe/telemetry/spanStore.js";
import { bootstrapOf, startEnvoy } from "../../../../envoy/harness.js";
import { inThisTier } from "../../../../envoy/tierVersions.js";
import { startSidecarChild } from "../../../../failure/sidecarChild.js";
import { idOf, PROTOCOLS, startStage } from "../../../../failure/stage.js";
import { startWrongServer } from "../../../../failure/wrongServer.js";
import { accessPolicy, resourceSet, service, variant } from "../../../../fixtures/resources.js";
import { startUpstream } from "../../../../fixtures/upstream.js";
import { type Rig, startLiveRig } from "../../rig.js";

t.setTimeout(240_000);

const VERSIONS = inThisTier(["1.40.0", "1.38.3", "1.36.2"]);
const TRACE = /^(?!0{32})[0-9a-f]{32}$/;
const CLIENTS = "0af7651916cd43dd8448eb211c80319c";
/** A trace that the client does not sample. */
const UNSAMPLED = `00-${CLIENTS}-b7ad6b7169203331-00`;

/** An ingest without spans, and a collector of spans. */
async function collecting(t: Test, traceSamplingPercent: number) {
	const live = await startLiveRig(t, { allowedRecordsPpm: 1_000_000 });
	const folder = await mkdtemp(join(tmpdir(), "weir-logged-trace-"));
	t.teardown(() => rm(folder, { recursive: true, force: true }));
	const tracesSocket = join(folder, "otlp.sock");
	const spans = new SpanStore();
	const receiver = await startOtlpReceiver({ address: `unix:${tracesSocket}`, store: spans });
	t.teardown(() => receiver.close());
	const collectors: Collectors = { ...live.collectors, tracesSocket, traceSamplingPercent };
	return { ...live, collectors, spans };
}

/** The record of a request, as soon as it is there. */
async function recordOf(rig: Rig, requestId: string): Promise<ShownAccessRecord> {
	for (;;) {
		const { json } = await rig.call("GET", `/v1/requests?requestId=${requestId}`, "");
		const [record] = (json as AccessRecordsAnswer).decisions;
		if (record !== undefined) return record;
		await pause(50);
	}
}

for (const version of VERSIONS)
	t.test(`Envoy ${version}: its own denials and forwarded requests have their trace`, async (t) => {
		const { rig, plans, collectors, spans } = await collecting(t, 0);
		const port = await startUpstream(t, ({ headers }, response) => {
			response.setHeader("x-saw", headers.traceparent ?? "").end();
		});
		const guarded = service("guarded", [variant("v1", port)], { access: null });
		const policies = [accessPolicy("reading", "allow", ["guarded"], { principals: ["anyone"], methods: ["GET"] })];
		const plan = compile(resourceSet({ services: [guarded], accessPolicies: policies }), EMPTY_STATUS, { collectors });
		plans.set(plan.version, plan.table);
		const envoy = await startEnvoy(t, bootstrapOf(plan, collectors), { version });
		const ask = (method: string, headers: Readonly<Record<string, string>> = {}, host = "guarded.test") =>
			new Promise<{ readonly status: number; readonly id: string; readonly saw: string }>((resolve, reject) => {
				request({ host: "127.0.0.1", port: envoy.port(), method, headers: { host, ...headers } }, (answer) => {
					const id = String(answer.headers["x-request-id"]);
					const saw = String(answer.headers["x-saw"] ?? "");
					answer.resume().on("end", () => resolve({ status: answer.statusCode ?? 0, id, saw }));
				})
					.on("error", reject)
					.end();
			});
		const traces = new Set<string | null>();
		for (const [method, host, reason] of [
			["POST", "guarded.test", "no-policy-allows"],
			["TRACE", "guarded.test", "not-canonical"],
			["GET", "unknown.test", "unknown-service"],
		] as const) {
			const { id } = await ask(method, {}, host);
			const { kind, traceId, ...record } = await recordOf(rig, id);
			t.match({ kind, reason: record.reason }, { kind: "denied", reason });
			t.match(traceId, TRACE, reason);
			traces.add(traceId);
		}
		t.equal(traces.size, 3, "each its own");
		const served = await ask("GET");
		t.equal(served.status, 200);
		const [, seen, parent] = /^00-([0-9a-f]{32})-([0-9a-f]{16})-00$/.exec(served.saw) ?? [];
		t.match(await recordOf(rig, served.id), { kind: "allowed", traceId: seen }, "the Service's trace id");
		t.not(parent, "0000000000000001", "whose parent is Envoy's own span");
		const refused = await ask("POST", { traceparent: UNSAMPLED });
		t.match(await recordOf(rig, refused.id), { kind: "denied", traceId: CLIENTS }, "a client's own goes on");
		const unread = { traceparent: `01-${CLIENTS}-b7ad6b7169203331-00-of-a-later-version` };
		t.equal((await ask("GET", unread)).saw, unread.traceparent, "nor is one taken away that Envoy cannot read");
		t.same(
			[...traces].map((id) => spans.find(String(id))),
			[[], [], []],
			"and none of it was sampled",
		);
	});

for (const [version, protocol, percents] of inThisTier([
	...PROTOCOLS.map((protocol) => ["1.40.0", protocol, [0, 100]] as const),
	["1.38.3", "ext_authz", [0]],
	["1.36.2", "ext_authz", [100]],
] as const))
	for (const percent of percents)
		t.test(`Envoy ${version}, ${percent} % sampled: denials by the sidecar over ${protocol}`, async (t) => {
			const { rig, plans, collectors, spans } = await collecting(t, percent);
			const stage = await startStage(t, protocol, { version, timeoutMs: 10_000, collectors });
			plans.set(stage.plan.version, stage.plan.table);
			const real = await startSidecarChild(t, {
				arguments: ["--table", stage.tableFile, "--socket", stage.socketPath],
			});
			const denied = await stage.ask("guarded", "mallory");
			t.equal(denied.status, 403);
			const { traceId, ...record } = await recordOf(rig, idOf(denied));
			t.match(record, { kind: "denied", by: "sidecar" });
			t.match(traceId, TRACE);
			while (percent === 100 && spans.find(String(traceId)).length === 0) await pause(50);
			const served = await stage.ask("guarded");
			t.equal(served.status, 200);
			const [, seen] = /^traceparent: 00-([0-9a-f]{32})-/im.exec(stage.lastHead("guarded")) ?? [];
			t.match(await recordOf(rig, idOf(served)), { kind: "allowed", traceId: seen });
			t.equal(/^traceparent: /gim.exec(stage.lastHead("guarded"))?.length, 1);
			if (protocol === "ext_proc") return;

			await real.end("SIGTERM");
			const sidecar = await startWrongServer(stage.socketPath);
			t.teardown(() => sidecar.close());
			const seenBySidecar: string[] = [];
			sidecar.behave(({ stream, metadata }) => {
				seenBySidecar.push(String(metadata.traceparent));
				stream.close();
			});
			const unanswered = await stage.ask("guarded");
			t.equal(unanswered.status, 503);
			const recorded = await recordOf(rig, idOf(unanswered));
			t.equal(recorded.reason, "unanswered");
			t.match(seenBySidecar, [/^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$/]);
			t.equal(seenBySidecar[0]?.slice(3, 35), recorded.traceId, "the sidecar is sent the same trace");
		});
