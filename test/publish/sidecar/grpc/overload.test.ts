import t from "tap";
import { GRPC } from "../../../../src/publish/sidecar/grpc/service.js";
import { Turn } from "../../../../src/publish/sidecar/grpc/turn.js";
import { bytesOf, FLAG, FRAME } from "../../../trust/tls/http2Frames.js";
import { rawConnection, requestHeaders } from "./rawConnection.js";
import { ECHO, framed, STREAM, startEcho, until } from "./rig.js";

t.test("a turn of the event loop that works too long sheds its other calls; the next turn recovers", async (t) => {
	let worked = 0;
	let slow = true;
	let nowMs = 0;
	const work = (message: Buffer): Buffer => {
		worked++;
		if (slow) nowMs += 2;
		return Buffer.from(message);
	};
	const { socketPath, counters, server } = await startEcho(t, {
		limits: { queueMs: 100, nowMs: () => nowMs },
		methods: new Map<string, never>([
			[ECHO, { kind: "unary", handle: work } as never],
			[STREAM, { kind: "stream", open: () => ({ message: work, ended() {} }) } as never],
		]),
	});
	const connection = await rawConnection(t, socketPath);
	let stream = 1;
	/** Sends calls in one write, so that they are read in one turn. @returns how many got a message */
	const burst = async (path: string, calls: number): Promise<number> => {
		connection.frames.length = 0;
		const parts: Buffer[] = [];
		for (let i = 0; i < calls; i++) {
			parts.push(requestHeaders(stream, path), bytesOf(FRAME.DATA, FLAG.END_STREAM, stream, framed("a")));
			stream += 2;
		}
		connection.socket.write(Buffer.concat(parts));
		const ends = () =>
			connection.frames.filter(({ type, flags }) => type === FRAME.HEADERS && (flags & FLAG.END_STREAM) !== 0).length;
		await until(() => ends() === calls);
		return connection.frames.filter(({ type }) => type === FRAME.DATA).length;
	};
	for (const path of [ECHO, STREAM]) {
		slow = false;
		await burst(path, 10);
		worked = 0;
		counters.ends.length = 0;
		counters.sheds.length = 0;
		slow = true;
		const answered = await burst(path, 300);
		t.equal(answered, 51, "nothing is shed before 100 ms of work at 2 ms each, and all of the turn after it");
		t.equal(worked, answered, "no work is done for shed calls");
		t.equal(counters.codes().filter((code) => code === GRPC.RESOURCE_EXHAUSTED).length, 300 - answered);
		t.same(counters.sheds, Array(300 - answered).fill(path), "counted");
		slow = false;
		t.equal(await burst(path, 300), 300, "recovers by itself");
		await until(() => server.streams() === 0);
	}
});

t.test("a stream that has had a reply is not shed", async (t) => {
	let slow = false;
	let nowMs = 0;
	const work = (message: Buffer): Buffer => {
		if (slow) nowMs += 2;
		return Buffer.from(message);
	};
	const { socketPath, counters } = await startEcho(t, {
		limits: { queueMs: 20, nowMs: () => nowMs },
		methods: new Map<string, never>([
			[STREAM, { kind: "stream", open: () => ({ message: work, ended() {} }) } as never],
		]),
	});
	const connection = await rawConnection(t, socketPath);
	const replies = (): number => connection.frames.filter(({ type }) => type === FRAME.DATA).length;
	const ids = Array.from({ length: 100 }, (_, index) => 2 * index + 1);
	for (const id of ids) {
		connection.socket.write(Buffer.concat([requestHeaders(id, STREAM), bytesOf(FRAME.DATA, 0, id, framed("a"))]));
		await until(() => replies() === (id + 1) / 2);
	}
	slow = true;
	// Second messages, then first ones behind them, all in one write: at 2 ms each the turn is late for most.
	const second = ids.map((id) => bytesOf(FRAME.DATA, FLAG.END_STREAM, id, framed("b")));
	const first = ids.map((id) =>
		Buffer.concat([requestHeaders(id + 200, STREAM), bytesOf(FRAME.DATA, FLAG.END_STREAM, id + 200, framed("c"))]),
	);
	connection.socket.write(Buffer.concat([...second, ...first]));
	const ends = () =>
		connection.frames.filter(({ type, flags }) => type === FRAME.HEADERS && (flags & FLAG.END_STREAM) !== 0);
	await until(() => ends().length === 200);
	const answered = connection.frames.filter(({ type, stream }) => type === FRAME.DATA && stream < 200).length;
	t.equal(answered, 200, "each second message has its reply");
	t.equal(counters.codes().filter((code) => code === GRPC.OK).length, 200 - counters.sheds.length);
	t.ok(counters.sheds.length > 0, "while first messages were shed behind them");
});

t.test("a turn counts work, not one pause, and ends with the loop's turn", async (t) => {
	let nowMs = 1_000;
	const turn = new Turn(100, 20, () => nowMs);
	const late = (atMs: number): boolean => {
		nowMs = atMs;
		return turn.late();
	};
	t.notOk(late(1_000));
	t.notOk(late(9_000), "one long gap: the process was not scheduled");
	for (let i = 1; i <= 4; i++) t.notOk(late(9_000 + i * 20));
	t.ok(late(9_100), "more than 100 ms of work");
	await new Promise((resolve) => setImmediate(resolve));
	t.notOk(late(9_101), "a new turn");
});
