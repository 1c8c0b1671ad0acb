import { statSync } from "node:fs";
import type { OutgoingHttpHeaders } from "node:http2";
import { performance } from "node:perf_hooks";
import t from "tap";
import { deadlineMs } from "../../../../src/publish/sidecar/grpc/deadline.js";
import { GRPC_CALLOUT_MESSAGE_BYTES_MAX } from "../../../../src/publish/sidecar/grpc/framing.js";
import { percentEncode } from "../../../../src/publish/sidecar/grpc/response.js";
import { startGrpcServer } from "../../../../src/publish/sidecar/grpc/server.js";
import { GRPC } from "../../../../src/publish/sidecar/grpc/service.js";
import { bytesOf, FLAG, FRAME, reset } from "../../../trust/tls/http2Frames.js";
import { rawConnection, requestHeaders } from "./rawConnection.js";
import { ASK, call, framed, open, type Sent, startEcho, until } from "./rig.js";

t.test("a unary call is answered with headers, one message and trailers", async (t) => {
	const { socketPath, server, counters } = await startEcho(t);
	t.equal(statSync(socketPath).mode & 0o777, 0o600, "only the own user may connect");
	const session = open(t, socketPath);
	for (const message of ["", "a", "x".repeat(70_000)]) {
		const got = await call(session, { body: [framed(message)] });
		t.match(got, { http: 200, code: GRPC.OK, reset: 0 });
		t.equal(got.headers["content-type"], "application/grpc");
		t.ok(got.body.equals(framed(message)), `${message.length} bytes come back`);
	}
	for (const contentType of ["application/grpc+proto", "application/grpc;charset=utf-8"]) {
		t.equal((await call(session, { headers: { "content-type": contentType }, body: [framed("a")] })).code, GRPC.OK);
	}
	t.same(counters.codes(), [0, 0, 0, 0, 0]);
	await until(() => server.streams() === 0);
});

t.test("a message may be split into frames anywhere", async (t) => {
	const { socketPath } = await startEcho(t);
	const session = open(t, socketPath);
	const bytes = framed("abcdefgh");
	for (let cut = 1; cut < bytes.length; cut++) {
		const got = await call(session, { body: [bytes.subarray(0, cut), bytes.subarray(cut)] });
		t.equal(got.code, GRPC.OK);
		t.ok(got.body.equals(bytes), `cut after ${cut} bytes`);
	}
	const single = await call(session, { body: [...bytes].map((byte) => Uint8Array.of(byte)) });
	t.ok(single.body.equals(bytes), "byte by byte");
	const large = framed("y".repeat(300_000));
	const pieces = Array.from({ length: 300 }, (_, i) => large.subarray(i * 1001, (i + 1) * 1001)).filter(
		(p) => p.length,
	);
	t.ok((await call(session, { body: pieces })).body.equals(large), "many pieces of a large message");
	t.ok((await call(session, { body: [bytes, Buffer.alloc(0)] })).body.equals(bytes), "END_STREAM in an empty frame");
});

t.test("an invalid call gets the status code of the gRPC specification", async (t) => {
	const { socketPath } = await startEcho(t);
	const session = open(t, socketPath);
	const gzip: OutgoingHttpHeaders = { "grpc-encoding": "gzip" };
	const identity: OutgoingHttpHeaders = { "grpc-encoding": "identity" };
	const tooLarge = framed("");
	tooLarge.writeUInt32BE(GRPC_CALLOUT_MESSAGE_BYTES_MAX + 1, 1);
	const cases: [string, Sent, number][] = [
		["unknown method", { path: "/test.Echo/Nothing", body: [framed("a")] }, GRPC.UNIMPLEMENTED],
		["unknown service", { path: "/nothing", body: [framed("a")] }, GRPC.UNIMPLEMENTED],
		["unknown method that goes on sending", { path: "/nothing", body: [framed("a")], end: false }, GRPC.UNIMPLEMENTED],
		["no message", { body: [] }, GRPC.UNIMPLEMENTED],
		["two messages", { body: [framed("a"), framed("b")] }, GRPC.UNIMPLEMENTED],
		["two messages in one frame", { body: [Buffer.concat([framed("a"), framed("b")])] }, GRPC.UNIMPLEMENTED],
		["a message and a piece", { body: [Buffer.concat([framed("a"), Buffer.from([0, 0])])] }, GRPC.UNIMPLEMENTED],
		["cut-off prefix", { body: [framed("abc").subarray(0, 3)] }, GRPC.INTERNAL],
		["cut-off message", { body: [framed("abc").subarray(0, 7)] }, GRPC.INTERNAL],
		["compressed, unknown encoding", { headers: gzip, body: [framed("a", 1)] }, GRPC.UNIMPLEMENTED],
		["compressed, identity", { headers: identity, body: [framed("a", 1)] }, GRPC.INTERNAL],
		["compressed, no encoding", { body: [framed("a", 1)] }, GRPC.INTERNAL],
		["encoding announced, not used", { headers: gzip, body: [framed("a")] }, GRPC.OK],
		["malformed flag", { body: [framed("a", 7)] }, GRPC.INTERNAL],
		["too large, still sending", { body: [tooLarge], end: false }, GRPC.RESOURCE_EXHAUSTED],
		["four gigabytes", { body: [Buffer.from([0, 255, 255, 255, 255])], end: false }, GRPC.RESOURCE_EXHAUSTED],
		["deadline over", { headers: { "grpc-timeout": "1n" }, body: [framed("a")] }, GRPC.DEADLINE_EXCEEDED],
		["deadline far", { headers: { "grpc-timeout": "200m" }, body: [framed("a")] }, GRPC.OK],
		["malformed deadline", { headers: { "grpc-timeout": "soon" }, body: [framed("a")] }, GRPC.INTERNAL],
		["handler refuses", { body: [framed(ASK.fail)] }, GRPC.INVALID_ARGUMENT],
		["handler throws", { body: [framed(ASK.throw)] }, GRPC.INTERNAL],
	];
	for (const [name, sent, code] of cases) {
		const got = await call(session, sent);
		t.match(got, { http: 200, code, reset: 0 }, name);
		if (code !== GRPC.OK) {
			t.equal(got.body.length, 0, `${name}: no message`);
			t.equal(got.headers["grpc-status"], String(code), `${name}: Trailers-Only`);
			t.equal(got.headers["grpc-accept-encoding"], "identity");
		}
	}
	t.equal(
		(await call(session, { body: [framed(ASK.fail)] })).words,
		"100 %25 nicht m%C3%B6glich%0A",
		"grpc-message is percent-encoded",
	);
	t.equal((await call(session, { body: [framed("still here")] })).code, GRPC.OK, "on the same connection");
});

t.test("a handler's fault is reported to the counters, not to the peer", async (t) => {
	const { socketPath, counters } = await startEcho(t);
	const session = open(t, socketPath);
	const got = await call(session, { body: [framed(ASK.throw)] });
	t.equal(got.words, "internal error");
	t.match(counters.faults, [["/test.Echo/Echo", { message: "a fault" }]]);
	await call(session, { path: "/unknown/method", body: [framed("a")] });
	t.same(counters.ends, [
		["/test.Echo/Echo", GRPC.INTERNAL],
		["unknown", GRPC.UNIMPLEMENTED],
	]);
});

t.test("a request that is not gRPC gets an HTTP status", async (t) => {
	const { socketPath } = await startEcho(t);
	const session = open(t, socketPath);
	const json: OutgoingHttpHeaders = { "content-type": "application/json" };
	t.equal((await call(session, { headers: json, body: [framed("a")] })).http, 415);
	t.equal((await call(session, { headers: { "content-type": "application/grpcx" } })).http, 415);
	t.equal((await call(session, { headers: { ":method": "GET" } })).http, 405);
	t.equal((await call(session, { headers: { ":method": "HEAD" } })).http, 405);
	t.equal((await call(session, { headers: { ":method": "PUT" }, body: [framed("a")], end: false })).http, 405);
	t.equal((await call(session, { body: [framed("a")] })).code, GRPC.OK);
});

t.test("a message of 60 KiB of headers passes, in the default window of any client", async (t) => {
	const { socketPath } = await startEcho(t);
	const session = open(t, socketPath);
	const largest = framed(Buffer.alloc(GRPC_CALLOUT_MESSAGE_BYTES_MAX, 0x61));
	t.ok((await call(session, { body: [framed("h".repeat(61_440))] })).code === GRPC.OK);
	t.ok((await call(session, { body: [largest] })).body.equals(largest), "the largest message");
});

t.test("request headers are bounded, and a call beyond the bound does not affect others", async (t) => {
	const { socketPath } = await startEcho(t);
	const session = open(t, socketPath);
	const beside = call(session, { body: [framed("a")] });
	t.equal((await call(session, { headers: { "x-large": "m".repeat(8_000) }, body: [framed("a")] })).code, GRPC.OK);
	const got = await call(session, {
		headers: { "x-large": "m".repeat(63_000), y: "n".repeat(3_000) },
		body: [framed("a")],
	});
	t.not(got.code, GRPC.OK);
	t.equal((await beside).code, GRPC.OK);
	t.equal((await call(open(t, socketPath), { body: [framed("a")] })).code, GRPC.OK);
});

t.test("a call that is given up is not answered, and counted", async (t) => {
	const { socketPath, server, counters } = await startEcho(t);
	const connection = await rawConnection(t, socketPath);
	for (const [stream, data] of [
		[1, framed("abc")],
		[3, framed("abc").subarray(0, 6)],
	] as const) {
		connection.socket.write(Buffer.concat([requestHeaders(stream), bytesOf(FRAME.DATA, 0, stream, data)]));
		await until(() => server.streams() === 1);
		connection.socket.write(reset(stream));
		await until(() => server.streams() === 0);
	}
	t.same(counters.codes(), [GRPC.CANCELLED, GRPC.CANCELLED]);
	connection.socket.write(Buffer.concat([requestHeaders(5), bytesOf(FRAME.DATA, FLAG.END_STREAM, 5, framed("a"))]));
	await connection.end(5);
	t.notOk(
		connection.frames.some(({ stream }) => stream === 1 || stream === 3),
		"nothing is written to it",
	);
});

t.test("half-read calls of a broken connection leave nothing behind", async (t) => {
	const { socketPath, server, counters } = await startEcho(t);
	const session = open(t, socketPath);
	for (let i = 0; i < 50; i++) {
		const open = session.request({ ":method": "POST", ":path": "/test.Echo/Echo", "content-type": "application/grpc" });
		open.on("error", () => {});
		open.write(framed("abc").subarray(0, 6));
	}
	await until(() => server.streams() === 50);
	session.destroy();
	await until(() => server.streams() === 0);
	t.same(counters.codes(), Array(50).fill(GRPC.CANCELLED));
});

t.test("grpc-timeout is parsed in every unit", async (t) => {
	t.equal(deadlineMs(undefined, 5), Number.POSITIVE_INFINITY);
	for (const [timeout, ms] of Object.entries({ "200m": 200, "1S": 1000, "2M": 120_000, "1H": 3_600_000, "0m": 0 })) {
		t.equal(deadlineMs(timeout, 5), 5 + ms, timeout);
	}
	t.ok(Math.abs((deadlineMs("99999999u", 0) ?? 0) - 99_999.999) < 1e-6);
	t.ok(Math.abs((deadlineMs("1000n", 0) ?? 0) - 0.001) < 1e-9);
	for (const wrong of ["", "m", "1", "1x", "-1m", "1.5S", "123456789m", " 1m", "1m "]) {
		t.equal(deadlineMs(wrong, performance.now()), null, JSON.stringify(wrong));
	}
	t.equal(deadlineMs(["1m", "2m"], 0), null, "repeated");
});

t.test("percent-encoding keeps plain text", async (t) => {
	t.equal(percentEncode("plain words ~ !"), "plain words ~ !");
	t.equal(percentEncode("%\u0000é"), "%25%00%C3%A9");
});

t.test("the server listens on UNIX sockets or mutual TLS; two servers do not share a socket", async (t) => {
	const { socketPath, health } = await startEcho(t);
	const methods = new Map();
	for (const host of ["0.0.0.0", "127.0.0.1", "::1"]) {
		await t.rejects(
			startGrpcServer({ listen: { host, port: 0 }, methods, health }),
			{ code: "invalid-argument" },
			host,
		);
	}
	await t.rejects(startGrpcServer({ listen: { socketPath }, methods, health }), { code: "already-exists" });
});
