/** One trace through client, Envoy, sidecar and upstream, with and without a trace of the client. */
import { EventEmitter, once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { otlpHttpHandler, startOtlpReceiver } from "../../../src/observe/telemetry/otlpReceiver.js";
import type { RecordedSpan } from "../../../src/observe/telemetry/span.js";
import { SpanStore } from "../../../src/observe/telemetry/spanStore.js";
import { startSidecarChild } from "../../failure/sidecarChild.js";
import { PROTOCOLS, type ServiceName, startStage } from "../../failure/stage.js";

class WatchedStore extends SpanStore {
	readonly events = new EventEmitter();
	override add(spans: readonly RecordedSpan[]): void {
		super.add(spans);
		this.events.emit("added");
	}
}

/** Receives the spans of Envoy (gRPC on a socket) and of the sidecar (HTTP). */
async function receive(t: Test): Promise<{ store: WatchedStore; socket: string; url: string }> {
	const folder = await mkdtemp(join(tmpdir(), "weir-spans-"));
	t.teardown(() => rm(folder, { recursive: true, force: true }));
	const store = new WatchedStore();
	const receiver = await startOtlpReceiver({ address: `unix:${folder}/otlp.sock`, store });
	t.teardown(() => receiver.close());
	const http = createServer((request, response) => void otlpHttpHandler({ store })(request, response));
	await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
	t.teardown(() => {
		http.closeAllConnections();
		http.close();
	});
	const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}/v1/traces`;
	return { store, socket: `${folder}/otlp.sock`, url };
}

const CLIENTS_TRACE = "0af7651916cd43dd8448eb211c80319c";
const UNIT = "person-of-the-test";

for (const protocol of PROTOCOLS) {
	t.test(`${protocol}: the sidecar's span is in the request's trace`, async (t) => {
		const { store, socket, url } = await receive(t);
		const stage = await startStage(t, protocol, {
			timeoutMs: 2_000,
			collectors: { accessLogSocket: null, tracesSocket: socket, traceSamplingPercent: 100 },
		});
		await startSidecarChild(t, {
			arguments: ["--table", stage.tableFile, "--socket", stage.socketPath],
			environment: { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: url, OTEL_BSP_SCHEDULE_DELAY: "50" },
		});
		/** The sidecar's span of the trace and Envoy's, once both have arrived. */
		const traced = async (traceId: string) => {
			for (;;) {
				const spans = store.find(traceId);
				const sidecar = spans.find(({ service }) => service === "weir-sidecar");
				const envoy = spans.filter(({ service }) => service === "weir-envoy");
				const parent = envoy.find(({ spanId }) => spanId === sidecar?.parentSpanId);
				if (sidecar !== undefined && envoy.some(({ kind }) => kind === "server") && parent !== undefined)
					return { spans, sidecar };
				await once(store.events, "added");
			}
		};
		const sentTrace = (name: ServiceName): string =>
			/^traceparent: 00-([0-9a-f]{32})-/im.exec(stage.lastHead(name))?.[1] ?? "none";

		await t.test("a request of a client without a trace is one trace", async (t) => {
			t.equal((await stage.ask("guarded")).status, 200);
			const { spans, sidecar } = await traced(sentTrace("guarded"));
			t.match(sidecar, {
				kind: "server",
				name: "weir.decision",
				attributes: {
					"weir.protocol": protocol,
					"weir.verdict": "allow",
					"weir.reason": "allowed",
					"weir.plan": stage.plan.version,
					"weir.service": "guarded",
				},
			});
			t.equal(new Set(spans.map(({ traceId }) => traceId)).size, 1);
		});

		await t.test("a client's own trace is continued", async (t) => {
			const own = `traceparent: 00-${CLIENTS_TRACE}-b7ad6b7169203331-01`;
			const answer = await stage.ask("assigned", "alice", own, `cookie: weir_id=${UNIT}`);
			t.equal(answer.status, 200);
			const { spans, sidecar } = await traced(CLIENTS_TRACE);
			t.match(sidecar.attributes, { "weir.arm": "all-assigned/arm2", "weir.verdict": "allow", "weir.reason": "open" });
			t.equal(
				spans.find(({ kind, service }) => kind === "server" && service === "weir-envoy")?.parentSpanId,
				"b7ad6b7169203331",
			);
			t.notMatch(JSON.stringify(spans), UNIT, "no unit is in any span");
			t.notOk("url.path" in sidecar.attributes, "nor a path in the sidecar's");
		});

		await t.test("a denial is in the trace", async (t) => {
			const traceId = `${CLIENTS_TRACE.slice(0, 31)}d`;
			const answer = await stage.ask("guarded", "mallory", `traceparent: 00-${traceId}-b7ad6b7169203331-01`);
			t.equal(answer.status, 403);
			const { sidecar } = await traced(traceId);
			t.match(sidecar.attributes, { "weir.verdict": "deny", "weir.reason": "no-policy-allows" });
		});

		await t.test("a client that asks not to sample is not traced", async (t) => {
			const traceId = `${CLIENTS_TRACE.slice(0, 31)}e`;
			await stage.ask("guarded", "alice", `traceparent: 00-${traceId}-b7ad6b7169203331-00`);
			await stage.ask("guarded");
			await traced(sentTrace("guarded"));
			t.same(store.find(traceId), [], "although a later one is there");
		});
	});
}
