import { EventEmitter, once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { otlpHttpHandler, startOtlpReceiver } from "../../../src/observe/telemetry/otlpReceiver.js";
import type { RecordedSpan } from "../../../src/observe/telemetry/span.js";
import { SpanStore } from "../../../src/observe/telemetry/spanStore.js";
import { renderTrace } from "../../../src/observe/telemetry/tracePath.js";
import { startTracing } from "../../../src/observe/telemetry/tracing.js";
import { startPredictor } from "../../../src/serve/predictor/server.js";
import { launchEnvoy } from "../../envoy/harness.js";
import { employmentModel } from "../../serve/predictor/doubles.js";

class WatchedStore extends SpanStore {
	readonly events = new EventEmitter();
	override add(spans: readonly RecordedSpan[]): void {
		super.add(spans);
		this.events.emit("added");
	}
}

const ANY = "type.googleapis.com";
const address = (port: number) => ({ socket_address: { address: "127.0.0.1", port_value: port } });
const cluster = (name: string, at: object, more: object = {}) => ({
	name,
	type: "STATIC",
	connect_timeout: "2s",
	load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address: at } }] }] },
	...more,
});

/** One listener in front of the predictor, traced to the receiver's socket; the headers are what Weir's plan adds. */
function bootstrap(adminSocket: string, parts: { readonly predictor: number; readonly traces: string }): object {
	return {
		admin: { address: { pipe: { path: adminSocket } } },
		layered_runtime: {
			layers: [
				{
					name: "static",
					static_layer: { "tracing.opentelemetry.min_flush_spans": 1, "tracing.opentelemetry.flush_interval_ms": 100 },
				},
			],
		},
		static_resources: {
			clusters: [
				cluster("predictor", address(parts.predictor)),
				cluster(
					"traces",
					{ pipe: { path: parts.traces } },
					{
						typed_extension_protocol_options: {
							"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
								"@type": `${ANY}/envoy.extensions.upstreams.http.v3.HttpProtocolOptions`,
								explicit_http_config: { http2_protocol_options: {} },
							},
						},
					},
				),
			],
			listeners: [{ name: "in", address: address(0), filter_chains: [{ filters: [connectionManager()] }] }],
		},
	};
}

function connectionManager(): object {
	return {
		name: "envoy.filters.network.http_connection_manager",
		typed_config: {
			"@type": `${ANY}/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`,
			stat_prefix: "in",
			tracing: {
				random_sampling: { value: 100 },
				spawn_upstream_span: true,
				custom_tags: [
					{ tag: "weir.arm", request_header: { name: "x-weir-arm" } },
					// What a careless operator might add; the store must not keep it.
					{ tag: "http.request.header.x-user-id", request_header: { name: "x-user-id" } },
				],
				provider: {
					name: "envoy.tracers.opentelemetry",
					typed_config: {
						"@type": `${ANY}/envoy.config.trace.v3.OpenTelemetryConfig`,
						grpc_service: { envoy_grpc: { cluster_name: "traces" }, timeout: "1s" },
						service_name: "weir-envoy",
					},
				},
			},
			route_config: {
				virtual_hosts: [
					{
						name: "all",
						domains: ["*"],
						request_headers_to_add: [{ header: { key: "x-weir-arm", value: "boosted-vs-logistic/control" } }],
						routes: [{ match: { prefix: "/" }, route: { cluster: "predictor" } }],
					},
				],
			},
			http_filters: [
				{
					name: "envoy.filters.http.router",
					typed_config: { "@type": `${ANY}/envoy.extensions.filters.http.router.v3.Router` },
				},
			],
		},
	};
}

t.test("one trace from a real Envoy to the predictor, found and rendered", async (t) => {
	const folder = mkdtempSync(join(tmpdir(), "weir-trace-"));
	t.teardown(() => rmSync(folder, { recursive: true, force: true }));
	const store = new WatchedStore();
	const receiver = await startOtlpReceiver({ address: `unix:${folder}/otlp.sock`, store });
	t.teardown(() => receiver.close());
	const http = createServer((request, response) => void otlpHttpHandler({ store })(request, response));
	await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
	t.teardown(() => {
		http.closeAllConnections();
		http.close();
	});
	const tracing = startTracing({
		environment: { OTEL_BSP_SCHEDULE_DELAY: "50" },
		serviceName: "weir-predictor",
		alsoTo: [`http://127.0.0.1:${(http.address() as AddressInfo).port}/v1/traces`],
	});
	t.teardown(() => tracing.shutdown());
	const predictor = await startPredictor({
		models: [{ name: "employment", path: employmentModel("better"), version: "v2" }],
		address: "127.0.0.1",
		port: 0,
		workers: 1,
	});
	t.teardown(() => predictor.close());
	const envoy = await launchEnvoy((adminSocket) =>
		bootstrap(adminSocket, { predictor: Number(new URL(predictor.url).port), traces: `${folder}/otlp.sock` }),
	);
	t.teardown(() => envoy.stop());

	const infer = async (t: Test, headers: Record<string, string>): Promise<void> => {
		const answer = await fetch(`http://127.0.0.1:${envoy.port()}/v2/models/employment/infer?user=alice`, {
			method: "POST",
			headers: { "content-type": "application/json", "x-user-id": "alice", ...headers },
			body: JSON.stringify({
				inputs: [{ name: "features", shape: [1, 16], datatype: "FP32", data: Array(16).fill(1) }],
			}),
		});
		t.equal(answer.status, 200);
		await answer.arrayBuffer();
	};
	const traced = async (find: () => readonly RecordedSpan[]): Promise<readonly RecordedSpan[]> => {
		while (find().length < 3) await once(store.events, "added");
		return find();
	};
	const check = (t: Test, spans: readonly RecordedSpan[]): void => {
		// By what each is: the predictor's clock and Envoy's do not agree about a millisecond.
		const ingress = spans.find(({ service, kind }) => service === "weir-envoy" && kind === "server");
		const upstream = spans.find(({ kind }) => kind === "client");
		const server = spans.find(({ service }) => service === "weir-predictor");
		t.equal(spans.length, 3);
		t.match(
			[ingress, upstream, server],
			[
				{ service: "weir-envoy", kind: "server", attributes: { "weir.arm": "boosted-vs-logistic/control" } },
				{ service: "weir-envoy", kind: "client", parentSpanId: ingress?.spanId },
				{
					service: "weir-predictor",
					kind: "server",
					parentSpanId: upstream?.spanId,
					attributes: {
						"http.response.status_code": 200,
						"http.route": "/v2/models/{model}/infer",
						"url.path": "/v2/models/employment/infer",
						"model.name": "employment",
						"model.version": "v2",
						"weir.arm": "boosted-vs-logistic/control",
						"weir.experiment": "boosted-vs-logistic",
						"feature_flag.key": "boosted-vs-logistic",
						"feature_flag.result.variant": "control",
					},
				},
			],
		);
		t.equal(new Set(spans.map(({ traceId }) => traceId)).size, 1, "one trace id");
		t.notMatch(JSON.stringify(spans), /alice/, "no unit id is kept");
	};

	await t.test("the client sent no trace context", async (t) => {
		await infer(t, {});
		const first = await traced(() => store.find(store.recent(1)[0] ?? ""));
		check(t, first);
		const lines = renderTrace(first).trimEnd().split("\n");
		t.equal(lines.length, 4);
		t.match(lines[0], /^trace [0-9a-f]{32} {2}request [0-9a-f-]{36} .* 3 spans in 2 services/);
		t.match(lines[1], /\+0\.000 .* weir-envoy: .* \(server\) .*status=200 .*arm=boosted-vs-logistic\/control/);
		t.match(lines[2], / {4}└ weir-envoy: .* \(client\)/);
		t.match(lines[3], / {6}└ weir-predictor: POST .* \(server\) .*status=200 .*model=employment {2}version=v2/);
		t.comment(renderTrace(first));
		const requestId = lines[0]?.match(/request ([0-9a-f-]{36})/)?.[1];
		t.same(store.find(String(requestId)), first, "found by request id as well");
	});

	await t.test("the client sent a traceparent: its trace goes on", async (t) => {
		const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
		await infer(t, { traceparent: `00-${traceId}-00f067aa0ba902b7-01` });
		const spans = await traced(() => store.find(traceId));
		check(t, spans);
		t.ok(spans.some(({ service, parentSpanId }) => service === "weir-envoy" && parentSpanId === "00f067aa0ba902b7"));
	});
});
