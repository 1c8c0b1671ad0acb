import t from "tap";
import { GRPC } from "../../../../src/publish/sidecar/grpc/service.js";
import { bytesOf, FLAG, FRAME, reset } from "../../../trust/tls/http2Frames.js";
import { rawConnection, requestHeaders } from "./rawConnection.js";
import { ASK, call, framed, open, STREAM, startEcho, until } from "./rig.js";

const HEADERS = { ":method": "POST", ":path": STREAM, "content-type": "application/grpc" };

t.test("each message is answered at once and in order; half-close ends with OK", async (t) => {
	const { socketPath, streams, counters, server } = await startEcho(t);
	const session = open(t, socketPath);
	const stream = session.request(HEADERS);
	let received = Buffer.alloc(0);
	stream.on("data", (chunk: Buffer) => {
		received = Buffer.concat([received, chunk]);
	});
	for (const word of ["one", "two", "three"]) {
		const before = received.length;
		stream.write(framed(word));
		await until(() => received.length === before + word.length + 5);
		t.ok(received.subarray(before).equals(framed(word)), word);
	}
	t.equal(streams.ended, 0);
	const trailers = new Promise((resolve) => stream.once("trailers", resolve));
	stream.end();
	t.match(await trailers, { "grpc-status": "0" });
	await until(() => server.streams() === 0);
	t.same({ ...streams }, { opened: 1, messages: 3, ended: 1 });
	t.same(counters.codes(), [GRPC.OK]);
	t.equal(stream.rstCode, 0);
});

t.test("each way to end a stream gives its status", async (t) => {
	const { socketPath, streams, counters, server } = await startEcho(t);
	const session = open(t, socketPath);
	const two = Buffer.concat([framed("a"), framed("b")]);
	const cases: [string, Parameters<typeof call>[1], number, Buffer][] = [
		["no message", { body: [] }, GRPC.OK, Buffer.alloc(0)],
		["two messages in a frame", { body: [two] }, GRPC.OK, two],
		["cut off", { body: [framed("a"), framed("b").subarray(0, 5)] }, GRPC.INTERNAL, framed("a")],
		[
			"refused after a reply",
			{ body: [framed("a"), framed(ASK.fail)], end: false },
			GRPC.INVALID_ARGUMENT,
			framed("a"),
		],
		["a fault, then more", { body: [framed(ASK.throw), framed("a")] }, GRPC.INTERNAL, Buffer.alloc(0)],
		["compressed", { body: [framed("a"), framed("b", 1)] }, GRPC.INTERNAL, framed("a")],
		["fault at the opening", { headers: { "x-open": "throw" }, end: false }, GRPC.INTERNAL, Buffer.alloc(0)],
		["fault at the end", { headers: { "x-ended": "throw" }, body: [two] }, GRPC.OK, two],
		["deadline", { headers: { "grpc-timeout": "1n" }, body: [two] }, GRPC.DEADLINE_EXCEEDED, Buffer.alloc(0)],
	];
	for (const [name, sent, code, body] of cases) {
		const got = await call(session, { path: STREAM, ...sent });
		t.match(got, { http: 200, code, reset: 0 }, name);
		t.ok(got.body.equals(body), `${name}: replies before`);
	}
	await until(() => server.streams() === 0);
	t.equal(streams.opened, cases.length);
	t.equal(streams.ended, cases.length - 1, "each opened stream gets one end event");
	t.equal(counters.faults.length, 3);
});

t.test("a reset stream gets its end event, and the connection continues", async (t) => {
	const { socketPath, streams, counters, server } = await startEcho(t);
	const connection = await rawConnection(t, socketPath);
	// CANCEL, INTERNAL_ERROR, NO_ERROR
	for (const [i, code] of [8, 2, 0].entries()) {
		const stream = 2 * i + 1;
		connection.socket.write(
			Buffer.concat([requestHeaders(stream, STREAM), bytesOf(FRAME.DATA, 0, stream, framed("a"))]),
		);
		await connection.frame((frame) => frame.type === FRAME.DATA && frame.stream === stream);
		connection.socket.write(reset(stream, code));
		await until(() => server.streams() === 0);
	}
	t.same({ ...streams }, { opened: 3, messages: 3, ended: 3 });
	t.same(counters.codes(), Array(3).fill(GRPC.CANCELLED));
	connection.socket.write(
		Buffer.concat([requestHeaders(7, STREAM), bytesOf(FRAME.DATA, FLAG.END_STREAM, 7, framed("a"))]),
	);
	t.equal((await connection.end(7)).type, FRAME.HEADERS);
});

t.test("when replies are not read, messages are not read either", async (t) => {
	const { socketPath, streams } = await startEcho(t);
	const session = open(t, socketPath);
	const stream = session.request(HEADERS);
	const message = framed("x".repeat(10_000));
	const all = 2_000;
	let sent = 0;
	const send = (): void => {
		while (sent < all) {
			sent++;
			if (!stream.write(message)) {
				stream.once("drain", send);
				return;
			}
		}
		stream.end();
	};
	send();
	// Until nothing moves any more: the windows of both directions are full.
	let before = -1;
	while (before !== streams.messages || before === 0) {
		before = streams.messages;
		await new Promise((resolve) => setTimeout(resolve, 100));
	}
	t.ok(before < 60, `${before} of ${all} messages answered while no one reads`);
	t.ok(sent < 100, `${sent} of ${all} taken from the client`);
	t.equal((await call(session, { body: [framed("beside it")] })).code, GRPC.OK, "other calls of the connection go on");
	let received = 0;
	stream.on("data", (chunk: Buffer) => {
		received += chunk.length;
	});
	const trailers = new Promise((resolve) => stream.once("trailers", resolve));
	t.match(await trailers, { "grpc-status": "0" });
	t.equal(received, all * message.length, "all come when they are read");
	t.equal(streams.messages, all);
});

t.test("many streams run at once on one connection and on several", async (t) => {
	const { socketPath, server } = await startEcho(t);
	const answers = [];
	for (let connection = 0; connection < 4; connection++) {
		const session = open(t, socketPath);
		for (let i = 0; i < 500; i++) {
			answers.push(call(session, { path: STREAM, body: [framed(`${connection} ${i}`)] }));
		}
	}
	const got = await Promise.all(answers);
	t.ok(got.every(({ code }) => code === GRPC.OK));
	t.equal(new Set(got.map(({ body }) => body.toString())).size, 2_000, "each its own answer");
	await until(() => server.streams() === 0);
});
