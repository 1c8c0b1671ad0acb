import { existsSync } from "node:fs";
import { connect as connectSocket } from "node:net";
import { performance } from "node:perf_hooks";
import t from "tap";
import { GRPC } from "../../../../src/publish/sidecar/grpc/service.js";
import { bytesOf, FLAG, FRAME } from "../../../trust/tls/http2Frames.js";
import { rawConnection, requestHeaders } from "./rawConnection.js";
import { call, ECHO, framed, open, STREAM, startEcho, until } from "./rig.js";

const HEADERS = { ":method": "POST", ":path": STREAM, "content-type": "application/grpc" };

t.test("drain: GOAWAY names the last call that is served, open calls finish", async (t) => {
	const { server, socketPath, counters, streams } = await startEcho(t);
	const connection = await rawConnection(t, socketPath);
	connection.socket.write(Buffer.concat([requestHeaders(1, STREAM), requestHeaders(3, ECHO)]));
	await until(() => streams.opened === 1 && server.streams() === 2);
	const drained = server.drain(10_000);
	const goaway = await connection.frame(({ type }) => type === FRAME.GOAWAY);
	t.equal(goaway.payload.readUInt32BE(0), 3, "the last stream");
	t.equal(goaway.payload.readUInt32BE(4), 0, "no error");
	for (const [stream, flags] of [
		[1, 0],
		[3, FLAG.END_STREAM],
	] as const) {
		connection.socket.write(bytesOf(FRAME.DATA, flags, stream, framed("after")));
		await connection.frame((frame) => frame.type === FRAME.DATA && frame.stream === stream);
		t.equal((await connection.end(stream)).type, FRAME.HEADERS, "answered, and over");
	}
	await drained;
	t.same(counters.codes(), [GRPC.OK, GRPC.OK]);
	t.notOk(existsSync(socketPath), "the socket is gone");
});

t.test("drain: a stream that has had a reply is ended with OK at once, whatever it still waits for", async (t) => {
	const { server, socketPath, counters, streams } = await startEcho(t);
	const session = open(t, socketPath);
	const stream = session.request(HEADERS);
	stream.resume();
	stream.write(framed("a"));
	await until(() => streams.messages === 1);
	const trailers = new Promise((resolve) => stream.once("trailers", resolve));
	const startedMs = performance.now();
	await server.drain(60_000);
	t.match(await trailers, { "grpc-status": "0" });
	t.ok(performance.now() - startedMs < 30_000, "long before the grace is over");
	t.equal(stream.rstCode, 0, "it is no reset");
	t.same(counters.codes(), [GRPC.OK]);
});

t.test("drain: streams open after the grace period are cut; close cuts at once", async (t) => {
	for (const how of ["drain", "close"] as const) {
		const { server, socketPath, streams } = await startEcho(t);
		const session = open(t, socketPath);
		const stream = session.request(HEADERS);
		stream.on("error", () => {});
		let status: unknown;
		// Trailers-Only: there was no reply before.
		stream.on("response", (headers) => {
			status = headers["grpc-status"];
		});
		await until(() => streams.opened === 1);
		await (how === "drain" ? server.drain(50) : server.close());
		await until(() => streams.ended === 1);
		t.equal(server.streams(), 0, how);
		await until(() => stream.closed);
		t.equal(status, how === "drain" ? String(GRPC.UNAVAILABLE) : undefined, `${how}: the status of the call`);
	}
});

t.test("a connection that never begins HTTP/2 does not stay, and does not hold up a drain", async (t) => {
	const { server, socketPath, counters } = await startEcho(t, { limits: { pingMs: 50 } });
	const silent = connectSocket(socketPath).resume();
	await new Promise((resolve) => silent.once("close", resolve));
	const talking = open(t, socketPath);
	await new Promise((resolve) => setTimeout(resolve, 100));
	t.equal((await call(talking, { body: [framed("a")] })).code, GRPC.OK, "one that does, stays");
	const garbage = connectSocket(socketPath).resume();
	garbage.on("error", () => {});
	garbage.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
	await new Promise((resolve) => garbage.once("close", resolve));
	t.equal(counters.broken.length, 2, "counted");
	t.equal((await call(talking, { body: [framed("a")] })).code, GRPC.OK);
	const another = connectSocket(socketPath);
	await new Promise((resolve) => another.once("connect", resolve));
	await server.drain(20);
	another.destroy();
});
