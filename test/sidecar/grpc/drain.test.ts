import { existsSync } from "node:fs";
import { connect as connectSocket } from "node:net";
import t from "tap";
import { GRPC } from "../../../src/sidecar/grpc/service.js";
import { bytesOf, FLAG, FRAME, rawConnection, requestHeaders } from "./rawConnection.js";
import { call, framed, open, STREAM, startEcho, until } from "./rig.js";

const HEADERS = { ":method": "POST", ":path": STREAM, "content-type": "application/grpc" };

t.test("drain: GOAWAY names the last call that is served, open calls finish", async (t) => {
	const { server, socketPath, counters } = await startEcho(t);
	const connection = await rawConnection(t, socketPath);
	connection.socket.write(Buffer.concat([requestHeaders(1, STREAM), bytesOf(FRAME.DATA, 0, 1, framed("before"))]));
	await connection.frame(({ type, stream }) => type === FRAME.DATA && stream === 1);
	const drained = server.drain(10_000);
	const goaway = await connection.frame(({ type }) => type === FRAME.GOAWAY);
	t.equal(goaway.payload.readUInt32BE(0), 1, "the last stream");
	t.equal(goaway.payload.readUInt32BE(4), 0, "no error");
	connection.socket.write(bytesOf(FRAME.DATA, 0, 1, framed("after")));
	await until(() => connection.frames.filter(({ type, stream }) => type === FRAME.DATA && stream === 1).length === 2);
	connection.socket.write(bytesOf(FRAME.DATA, FLAG.END_STREAM, 1));
	t.equal((await connection.end(1)).type, FRAME.HEADERS);
	await drained;
	t.same(counters.codes(), [GRPC.OK]);
	t.notOk(existsSync(socketPath), "the socket is gone");
});

t.test("drain: what is open after the grace is cut; close cuts at once", async (t) => {
	for (const how of ["drain", "close"] as const) {
		const { server, socketPath, streams } = await startEcho(t);
		const session = open(t, socketPath);
		const stream = session.request(HEADERS);
		stream.on("error", () => {});
		stream.write(framed("a"));
		await until(() => streams.messages === 1);
		await (how === "drain" ? server.drain(50) : server.close());
		await until(() => streams.ended === 1);
		t.equal(server.streams(), 0, how);
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
