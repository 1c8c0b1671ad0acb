/** Asynchronous replies: one each, in order, within the deadline, in bounded number, and none after the end. */

import { once } from "node:events";
import t from "tap";
import { CALLOUT_TOKENS_WAITING_MAX } from "../../../../src/publish/sidecar/grpc/call.js";
import { GRPC, GrpcFailure, type Methods, type Reply } from "../../../../src/publish/sidecar/grpc/service.js";
import { call, ECHO, framed, open, STREAM, startEcho, until } from "./rig.js";

/** Promises an echo of each message; the test resolves it. */
class Promised {
	readonly waiting: { readonly text: string; give(reply?: Reply): void; fail(): void }[] = [];
	readonly methods: Methods;

	constructor() {
		const handle = (message: Buffer): Promise<Reply> => {
			const text = message.toString();
			return new Promise((resolve, reject) => {
				this.waiting.push({
					text,
					give: (reply = Buffer.from(text)) => resolve(reply),
					fail: () => reject(new Error("a fault")),
				});
			});
		};
		this.methods = new Map<string, ReturnType<Methods["get"]> & object>([
			[ECHO, { kind: "unary", handle }],
			[STREAM, { kind: "stream", open: () => ({ message: handle, ended: () => {} }) }],
		]);
	}
}

const HEADERS = { ":method": "POST", ":path": STREAM, "content-type": "application/grpc" };

t.test("a call waits for its reply, and others do not wait for it", async (t) => {
	const promised = new Promised();
	const { socketPath, counters, server } = await startEcho(t, { methods: promised.methods });
	const session = open(t, socketPath);
	const calls = ["a", "b", "c"].map((word) => call(session, { body: [framed(word)] }));
	await until(() => promised.waiting.length === 3);
	t.equal(server.streams(), 3);
	promised.waiting[2]?.give();
	t.match(await calls[2], { code: GRPC.OK, body: framed("c") });
	promised.waiting[0]?.give(new GrpcFailure(GRPC.UNAVAILABLE, "words"));
	t.match(await calls[0], { code: GRPC.UNAVAILABLE, words: "words" });
	promised.waiting[1]?.fail();
	t.match(await calls[1], { code: GRPC.INTERNAL });
	t.equal(counters.faults.length, 1);
	await until(() => server.streams() === 0);
});

t.test("a stream's messages are answered in order, none before the one before it", async (t) => {
	const promised = new Promised();
	const { socketPath, server } = await startEcho(t, { methods: promised.methods });
	const stream = open(t, socketPath).request(HEADERS);
	let received = Buffer.alloc(0);
	stream.on("data", (chunk: Buffer) => {
		received = Buffer.concat([received, chunk]);
	});
	const trailers = once(stream, "trailers");
	stream.end(Buffer.concat([framed("one"), framed("two"), framed("three")]));
	for (const [index, word] of ["one", "two", "three"].entries()) {
		await until(() => promised.waiting.length > index);
		for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
		t.equal(promised.waiting.length, index + 1, "the next one is not looked at yet");
		t.equal(promised.waiting[index]?.text, word);
		promised.waiting[index]?.give();
	}
	t.match(await trailers, [{ "grpc-status": "0" }]);
	t.ok(received.equals(Buffer.concat([framed("one"), framed("two"), framed("three")])), "one reply each");
	await until(() => server.streams() === 0);
});

t.test("a call gets no reply after its deadline or after its client disconnected", async (t) => {
	const promised = new Promised();
	const { socketPath, counters, server } = await startEcho(t, { methods: promised.methods });
	const session = open(t, socketPath);
	for (const path of [ECHO, STREAM]) {
		promised.waiting.length = 0;
		const late = call(session, { path, headers: { "grpc-timeout": "50m" }, body: [framed("late")] });
		await until(() => promised.waiting.length === 1);
		const until50Ms = performance.now() + 51;
		await until(() => performance.now() > until50Ms);
		promised.waiting[0]?.give();
		t.match(await late, { code: GRPC.DEADLINE_EXCEEDED, body: Buffer.alloc(0) }, path);
		const gone = session.request({ ...HEADERS, ":path": path });
		gone.on("error", () => {});
		gone.end(framed("gone"));
		await until(() => promised.waiting.length === 2);
		gone.close(8);
		await until(() => counters.ends.filter(([, code]) => code === GRPC.CANCELLED).length > 0);
		promised.waiting[1]?.give();
		await until(() => server.streams() === 0);
		t.same(
			counters.ends.splice(0).map(([, code]) => code),
			[GRPC.DEADLINE_EXCEEDED, GRPC.CANCELLED],
		);
	}
	t.same(counters.faults, []);
});

t.test("a limited number of calls waits; a refused call fails at once", async (t) => {
	const promised = new Promised();
	const { socketPath, counters, server } = await startEcho(t, { methods: promised.methods });
	const session = open(t, socketPath);
	// More streams than one connection allows.
	const sessions = Array.from({ length: 20 }, () => open(t, socketPath));
	const calls = Array.from({ length: CALLOUT_TOKENS_WAITING_MAX }, (_, index) =>
		call(sessions[index % sessions.length] ?? session, { body: [framed("x")] }),
	);
	await until(() => promised.waiting.length === CALLOUT_TOKENS_WAITING_MAX);
	t.match(await call(session, { body: [framed("one too many")] }), { code: GRPC.RESOURCE_EXHAUSTED });
	t.match(await call(session, { path: STREAM, body: [framed("one too many")] }), { code: GRPC.RESOURCE_EXHAUSTED });
	t.same(counters.sheds, [ECHO, STREAM]);
	for (const one of promised.waiting) one.give();
	for (const { code } of await Promise.all(calls)) if (code !== GRPC.OK) t.fail(`${code}`);
	await until(() => server.streams() === 0);
	const next = call(session, { body: [framed("x")] });
	await until(() => promised.waiting.length === CALLOUT_TOKENS_WAITING_MAX + 3);
	promised.waiting.at(-1)?.give();
	t.match(await next, { code: GRPC.OK }, "there is room again");
});

t.test("a stopping server still replies to waiting calls", async (t) => {
	const promised = new Promised();
	const { socketPath, server } = await startEcho(t, { methods: promised.methods });
	const calls = [ECHO, STREAM].map((path) => call(open(t, socketPath), { path, body: [framed("x")] }));
	await until(() => promised.waiting.length === 2);
	const drained = server.drain(10_000);
	await new Promise((resolve) => setImmediate(resolve));
	for (const one of promised.waiting) one.give();
	for (const { code } of await Promise.all(calls)) t.equal(code, GRPC.OK);
	await drained;
});
