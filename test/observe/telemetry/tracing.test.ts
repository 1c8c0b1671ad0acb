import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isSpanContextValid, trace } from "@opentelemetry/api";
import t, { type Test } from "tap";
import { otlpHttpHandler } from "../../../src/observe/telemetry/otlpReceiver.js";
import { SpanStore } from "../../../src/observe/telemetry/spanStore.js";
import { tracesEndpoint } from "../../../src/observe/telemetry/tracesEndpoint.js";
import { startTracing } from "../../../src/observe/telemetry/tracing.js";

async function collector(t: Test): Promise<{ store: SpanStore; url: string }> {
	const store = new SpanStore();
	const server = createServer((request, response) => void otlpHttpHandler({ store })(request, response));
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	t.teardown(() => {
		server.closeAllConnections();
		server.close();
	});
	return { store, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

const makeSpan = (): string => {
	const span = trace.getTracer("test").startSpan("work");
	span.end();
	return span.spanContext().traceId;
};

t.test("the standard variables set the collector of spans", async (t) => {
	const cases: readonly [Record<string, string>, string | null][] = [
		[{}, null],
		[{ OTEL_EXPORTER_OTLP_ENDPOINT: "" }, null],
		[{ OTEL_EXPORTER_OTLP_ENDPOINT: "http://c:4318" }, "http://c:4318/v1/traces"],
		[{ OTEL_EXPORTER_OTLP_ENDPOINT: "http://c:4318/base/" }, "http://c:4318/base/v1/traces"],
		[{ OTEL_EXPORTER_OTLP_ENDPOINT: "http://c", OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://t/x" }, "http://t/x"],
		[{ OTEL_EXPORTER_OTLP_ENDPOINT: "http://c", OTEL_TRACES_EXPORTER: "none" }, null],
		[{ OTEL_EXPORTER_OTLP_ENDPOINT: "http://c", OTEL_EXPORTER_OTLP_PROTOCOL: "http/protobuf" }, "http://c/v1/traces"],
	];
	for (const [environment, endpoint] of cases) t.equal(tracesEndpoint(environment), endpoint);
	const base = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://c" };
	t.throws(() => tracesEndpoint({ ...base, OTEL_TRACES_EXPORTER: "zipkin" }), { message: /zipkin/ });
	t.throws(() => tracesEndpoint({ ...base, OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" }), { message: /grpc/ });
});

t.test("spans are exported by OTLP, and shutdown sends the last ones", async (t) => {
	const { store, url } = await collector(t);
	const environment = { OTEL_EXPORTER_OTLP_ENDPOINT: url };
	const tracing = startTracing({ environment, serviceName: "weir-test" });
	const traceId = makeSpan();
	await tracing.shutdown();
	t.match(store.find(traceId), [{ name: "work", service: "weir-test" }]);
	t.notOk(isSpanContextValid(trace.getTracer("t").startSpan("after").spanContext()), "tracing has ended");
});

t.test("spans go over a UNIX socket, unless the standard variables name a collector or `none`", async (t) => {
	const store = new SpanStore();
	const directory = await mkdtemp(join(tmpdir(), "weir-traces-"));
	const socket = join(directory, "t.sock");
	const server = createServer((request, response) => void otlpHttpHandler({ store })(request, response));
	await new Promise<void>((resolve) => server.listen(socket, resolve));
	t.teardown(async () => {
		server.closeAllConnections();
		server.close();
		await rm(directory, { recursive: true });
	});
	const send = async (more: Record<string, string>): Promise<string> => {
		const tracing = startTracing({ environment: { WEIR_TRACES_SOCKET: socket, ...more }, serviceName: "weir-test" });
		const traceId = makeSpan();
		await tracing.shutdown();
		return traceId;
	};
	t.match(store.find(await send({})), [{ name: "work", service: "weir-test" }]);
	const { store: other, url } = await collector(t);
	const named = await send({ OTEL_EXPORTER_OTLP_ENDPOINT: url });
	t.equal(other.find(named).length, 1);
	await send({ OTEL_TRACES_EXPORTER: "none" });
	await send({ OTEL_SDK_DISABLED: "true" });
	t.equal(store.size, 1);
});

t.test("OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win over the default name", async (t) => {
	const { store, url } = await collector(t);
	for (const [variable, value] of [
		["OTEL_SERVICE_NAME", "mine"],
		["OTEL_RESOURCE_ATTRIBUTES", "service.name=mine,zone=a"],
	] as const) {
		process.env[variable] = value; // The SDK's own detector reads it.
		const tracing = startTracing({ environment: {}, serviceName: "weir-test", alsoTo: [`${url}/v1/traces`] });
		const traceId = makeSpan();
		await tracing.shutdown();
		delete process.env[variable];
		t.match(store.find(traceId), [{ service: "mine" }]);
	}
});

t.test("OTEL_TRACES_SAMPLER sets the sampler", async (t) => {
	const { store, url } = await collector(t);
	process.env.OTEL_TRACES_SAMPLER = "always_off";
	const tracing = startTracing({ environment: { OTEL_EXPORTER_OTLP_ENDPOINT: url }, serviceName: "weir-test" });
	makeSpan();
	await tracing.shutdown();
	delete process.env.OTEL_TRACES_SAMPLER;
	t.equal(store.size, 0);
});

t.test("without an endpoint, or disabled, nothing is recorded", async (t) => {
	const { store, url } = await collector(t);
	for (const environment of [
		{},
		{ OTEL_EXPORTER_OTLP_ENDPOINT: url, OTEL_SDK_DISABLED: "true" },
		{ OTEL_EXPORTER_OTLP_ENDPOINT: url, OTEL_TRACES_EXPORTER: "none" },
	]) {
		const tracing = startTracing({ environment, serviceName: "weir-test" });
		t.equal(makeSpan(), "0".repeat(32));
		await tracing.shutdown();
	}
	t.equal(store.size, 0);
});

t.test("an unreachable collector does not delay the shutdown", async (t) => {
	const environment = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:1" };
	const tracing = startTracing({ environment, serviceName: "weir-test" });
	makeSpan();
	const startedMs = performance.now();
	await tracing.shutdown();
	t.ok(performance.now() - startedMs < 5_000);
});
