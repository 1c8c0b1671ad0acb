import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { Client, credentials } from "@grpc/grpc-js";
import t, { type Test } from "tap";
import { traceForwarder } from "../../../src/observe/telemetry/forward.js";
import { decodeTraces, redactTraces } from "../../../src/observe/telemetry/otlp.js";
import {
	OTLP_BODY_BYTES_MAX,
	otlpHttpHandler,
	startOtlpReceiver,
	type TraceSink,
} from "../../../src/observe/telemetry/otlpReceiver.js";
import { SpanStore } from "../../../src/observe/telemetry/spanStore.js";
import { exportBytes, exportJson, TRACE } from "./otlpExport.js";

/** What the arm header implies (telemetry/attribution.ts). */
const IMPLIED = {
	"weir.experiment": "exp",
	"feature_flag.key": "exp",
	"feature_flag.result.variant": "control",
	"feature_flag.provider.name": "weir",
};

const STORED = {
	traceId: TRACE,
	spanId: "b7ad6b7169203331",
	parentSpanId: "00f067aa0ba902b7",
	service: "weir-test",
	name: "GET /",
	kind: "server",
	startUs: 1_700_000_000_000_001,
	durationUs: 2000,
	status: "error",
	attributes: { "weir.arm": "exp/control", ...IMPLIED },
};
const PARTS = { parentSpanId: "00f067aa0ba902b7", attributes: { "weir.arm": "exp/control" } };

async function listenHttp(t: Test, sink: TraceSink): Promise<string> {
	const server = createServer((request, response) => void otlpHttpHandler(sink)(request, response));
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	t.teardown(() => {
		server.closeAllConnections();
		server.close();
	});
	return `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/traces`;
}

const post = (url: string, body: string | Buffer, headers: Record<string, string>): Promise<Response> =>
	fetch(url, { method: "POST", body, headers });
const PROTOBUF = { "content-type": "application/x-protobuf" };
const JSON_TYPE = { "content-type": "application/json; charset=utf-8" };

t.test("OTLP/HTTP takes protobuf, gzip and JSON alike", async (t) => {
	for (const [body, headers] of [
		[exportBytes(PARTS), PROTOBUF],
		[gzipSync(exportBytes(PARTS)), { ...PROTOBUF, "content-encoding": "gzip" }],
		[JSON.stringify(exportJson(PARTS)), JSON_TYPE],
	] as const) {
		const store = new SpanStore();
		const answer = await post(await listenHttp(t, { store }), body, headers);
		t.equal(answer.status, 200);
		t.equal(answer.headers.get("content-type"), headers["content-type"].split(";")[0]);
		t.equal(await answer.text(), headers === JSON_TYPE ? "{}" : "");
		t.same(store.find(TRACE), [STORED]);
	}
});

t.test("OTLP/HTTP rejects unreadable requests, and reports bad spans to the sender", async (t) => {
	const store = new SpanStore();
	const url = await listenHttp(t, { store });
	t.equal((await post(url, "{", JSON_TYPE)).status, 400);
	t.equal((await post(url, "\xff\xff", PROTOBUF)).status, 400);
	t.equal((await post(url, "no gzip", { ...PROTOBUF, "content-encoding": "gzip" })).status, 400);
	t.equal((await post(url, "x", { "content-type": "text/plain" })).status, 415);
	t.equal((await fetch(url)).status, 405);
	const bomb = gzipSync(Buffer.alloc(OTLP_BODY_BYTES_MAX + 1));
	t.equal((await post(url, bomb, { ...PROTOBUF, "content-encoding": "gzip" })).status, 413);
	for (const bad of [{ traceId: "00" }, { spanId: "00" }, { endTimeUnixNano: "1" }]) {
		const answer = await post(url, JSON.stringify(exportJson(bad)), JSON_TYPE);
		t.match(await answer.json(), { partialSuccess: { rejectedSpans: "1" } });
	}
	t.equal(store.size, 0);
});

t.test("OTLP/gRPC takes exports on a UNIX socket and survives bad ones", async (t) => {
	const folder = mkdtempSync(join(tmpdir(), "weir-otlp-"));
	const store = new SpanStore();
	const counted: number[] = [];
	const receiver = await startOtlpReceiver({
		address: `unix:${folder}/otlp.sock`,
		store,
		forward: (bytes) => counted.push(bytes.length),
	});
	const client = new Client(receiver.address, credentials.createInsecure());
	t.teardown(async () => {
		client.close();
		await receiver.close();
		rmSync(folder, { recursive: true });
	});
	const send = (bytes: Buffer): Promise<Buffer> =>
		new Promise((resolve, reject) => {
			client.makeUnaryRequest(
				"/opentelemetry.proto.collector.trace.v1.TraceService/Export",
				(value: Buffer) => value,
				(value: Buffer) => value,
				bytes,
				(error, value) => (error === null ? resolve(value ?? Buffer.of()) : reject(error)),
			);
		});
	await t.rejects(send(Buffer.from("\xff\xff")), { code: 3 });
	t.equal((await send(exportBytes(PARTS))).length, 0);
	t.same(store.find(TRACE), [STORED]);
	t.same(counted, [exportBytes(PARTS).length], "only what could be read is forwarded");
});

t.test("the gRPC receiver listens on loopback or a UNIX socket only", async (t) => {
	const store = new SpanStore();
	for (const address of ["0.0.0.0:0", "[::]:0", "example.com:1", "unix:relative"]) {
		await t.rejects(startOtlpReceiver({ address, store }), { code: "invalid-argument", hint: /127\.0\.0\.1/ });
	}
	const receiver = await startOtlpReceiver({ address: "127.0.0.1:0", store });
	t.match(receiver.address, /^127\.0\.0\.1:[1-9]\d+$/);
	await t.rejects(startOtlpReceiver({ address: receiver.address, store }), { code: "failed-precondition" });
	await receiver.close();
});

const SECRETS = {
	"weir.arm": "exp/control",
	"http.url": "http://u:p@host/path?user=alice#f",
	"url.path": "/v1?token=s",
	"http.request.header.x-user-id": "alice",
	"http.request.header.authorization": "Bearer s",
	"x-user-id": "alice",
	"weir.unit": "alice",
	"feature_flag.context.id": "alice",
	"rpc.request.metadata.x-user-id": "alice",
	user_agent: "agent alice",
	"peer.address": "10.0.0.1",
	response_flags: "-".repeat(300),
};

t.test("only known attributes are stored, URLs without their query, long texts cut", async (t) => {
	const { spans } = decodeTraces(exportBytes({ name: "GET /a?user=alice", attributes: SECRETS }));
	t.equal(spans[0]?.name, "GET /a");
	t.same(spans[0]?.attributes, {
		...IMPLIED,
		"weir.arm": "exp/control",
		"http.url": "http://host/path",
		"url.path": "/v1",
		response_flags: "-".repeat(256),
	});
});

t.test(
	"paths and URLs of spans are masked as in the access record log, in the store and for another collector",
	async (t) => {
		const token = `${Buffer.from('{"alg":"HS256"}').toString("base64url")}.AAAA.${"s".repeat(43)}`;
		const attributes = {
			"http.url": `http://host:8080/reset/${token}?a=b`,
			"url.path": `/a;access_token=${token}/ann@a.example`,
		};
		const bytes = exportBytes({ name: `GET /reset/${token}`, attributes });
		for (const { spans } of [decodeTraces(bytes), decodeTraces(redactTraces(bytes))]) {
			t.equal(spans[0]?.name, "GET /reset/(masked)");
			t.match(spans[0]?.attributes, {
				"http.url": "http://host:8080/reset/(masked)",
				"url.path": "/a;(masked)/(masked)",
			});
		}
		t.notMatch(Buffer.from(redactTraces(bytes)).toString("latin1"), /eyJ|ann@/);
	},
);

t.test("spans are forwarded to another collector with the same attributes only", async (t) => {
	const store = new SpanStore();
	const arrived = new Promise<string>((resolve) => {
		const server = createServer((request, response) => {
			const chunks: Buffer[] = [];
			request.on("data", (chunk: Buffer) => chunks.push(chunk));
			request.on("end", () => {
				const bytes = Buffer.concat(chunks);
				store.add(decodeTraces(bytes).spans);
				response.end();
				resolve(bytes.toString("latin1"));
			});
		});
		server.listen(0, "127.0.0.1", () => {
			const { port } = server.address() as AddressInfo;
			traceForwarder(`http://127.0.0.1:${port}/v1/traces`)(exportBytes({ ...PARTS, attributes: SECRETS }));
		});
		t.teardown(() => {
			server.closeAllConnections();
			server.close();
		});
	});
	t.notMatch(await arrived, /alice|Bearer|token/);
	t.match(store.find(TRACE), [{ parentSpanId: "00f067aa0ba902b7", attributes: { "weir.arm": "exp/control" } }]);
});

t.test("a collector that does not answer costs nothing but counted exports", async (t) => {
	let lost = 0;
	const counted = new Promise<void>((resolve) => {
		const noop = (): void => {};
		const forward = traceForwarder("http://127.0.0.1:1/v1/traces", {
			count: () => {
				lost++;
				if (lost === 20) resolve();
			},
			gauge: noop,
			observe: noop,
			text: async () => "",
			json: async () => ({ meter: "none", metrics: [] }),
		});
		for (let at = 0; at < 20; at++) forward(exportBytes(PARTS));
	});
	await counted;
	t.equal(lost, 20);
});
