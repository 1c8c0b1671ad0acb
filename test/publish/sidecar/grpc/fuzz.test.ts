import t from "tap";
import { keepHeapSmall } from "../../../../src/publish/sidecar/grpc/heap.js";
import { bytesOf, FLAG, FRAME, PREFACE, reset } from "../../../trust/tls/http2Frames.js";
import { garbageCollector } from "./garbageCollector.js";
import { RawConnection, requestHeaders } from "./rawConnection.js";
import { call, framed, open, STREAM, startEcho, until } from "./rig.js";

/** mulberry32: the same sequences on every run. */
function random(seed: number): (below: number) => number {
	let state = seed;
	return (below) => {
		state = (state + 0x6d2b79f5) | 0;
		let z = Math.imul(state ^ (state >>> 15), 1 | state);
		z = (z + Math.imul(z ^ (z >>> 7), 61 | z)) ^ z;
		return ((z ^ (z >>> 14)) >>> 0) % below;
	};
}

type Random = (below: number) => number;

function someBytes(random: Random, most: number): Buffer {
	return Buffer.from(Array.from({ length: random(most + 1) }, () => random(256)));
}

/** A frame that may be right, out of place, or nonsense. */
function someFrame(random: Random): Buffer {
	const stream = [0, 1, 3, 5, 7, 2, 2 ** 31 - 1, 1 + 2 * random(50)][random(8)] ?? 1;
	switch (random(12)) {
		case 0:
		case 1:
			return requestHeaders(stream, random(2) === 0 ? STREAM : "/test.Echo/Echo", FLAG.END_HEADERS | random(2));
		case 2:
		case 3:
			return bytesOf(FRAME.DATA, random(2), stream, framed(someBytes(random, 40), random(8) === 0 ? random(256) : 0));
		case 4:
			return bytesOf(FRAME.DATA, random(256), stream, someBytes(random, 40));
		case 5:
			return reset(stream, random(16));
		case 6:
			return bytesOf(FRAME.SETTINGS, random(2), random(4) === 0 ? stream : 0, someBytes(random, 18));
		case 7:
			return bytesOf(FRAME.WINDOW_UPDATE, 0, stream, someBytes(random, 5));
		case 8:
			return bytesOf(FRAME.PING, random(2), 0, someBytes(random, 9));
		case 9:
			return bytesOf(FRAME.GOAWAY, 0, 0, someBytes(random, 12));
		case 10:
			return bytesOf(FRAME.HEADERS, random(256), stream, someBytes(random, 60));
		default:
			return bytesOf(random(256), random(256), stream, someBytes(random, 60));
	}
}

/** A call that a client may make, in one of the ways in which calls go. */
function someCall(random: Random, place: number): Buffer {
	const stream = 2 * place + 1;
	const message = framed(someBytes(random, 40));
	const cut = random(message.length);
	const ends = random(4) !== 0 ? FLAG.END_STREAM : 0;
	return Buffer.concat([
		requestHeaders(stream, random(2) === 0 ? STREAM : "/test.Echo/Echo"),
		bytesOf(FRAME.DATA, 0, stream, message.subarray(0, cut)),
		bytesOf(FRAME.DATA, ends, stream, message.subarray(cut)),
		...(random(4) === 0 ? [reset(stream)] : []),
	]);
}

/** A conversation of some frames, with bytes changed, lost or doubled now and then. */
function someConversation(random: Random): Buffer {
	const parts = [PREFACE, bytesOf(FRAME.SETTINGS, 0, 0)];
	// Nearly every frame of nonsense ends the connection, so calls that are right come before it.
	for (let i = random(8); i > 0; i--) parts.push(someCall(random, parts.length));
	for (let i = random(4); i > 0; i--) parts.push(someFrame(random));
	const bytes = Buffer.concat(parts);
	switch (random(4)) {
		case 0: {
			const changed = Buffer.from(bytes);
			for (let i = random(6) + 1; i > 0; i--) changed[random(changed.length)] = random(256);
			return changed;
		}
		case 1:
			return bytes.subarray(0, random(bytes.length) + 1);
		case 2: {
			const at = random(bytes.length);
			return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + random(20))]);
		}
		default:
			return bytes;
	}
}

t.setTimeout(120_000);
keepHeapSmall();
const collect = garbageCollector();

/** Memory of live objects only: the runner's hooks make garbage in this process too. */
function livingMiB(): number {
	collect();
	const { heapUsed, external } = process.memoryUsage();
	return (heapUsed + external) / 2 ** 20;
}

t.test("a server survives 3,000 mutated conversations, answers others, and keeps no state", async (t) => {
	const { server, socketPath, streams, counters } = await startEcho(t, { limits: { pingMs: 1_000, queueMs: 60_000 } });
	const session = open(t, socketPath);
	const next = random(4_2026);
	const converse = async (): Promise<void> => {
		const connection = new RawConnection(socketPath);
		connection.polite = next(2) === 0;
		const bytes = someConversation(next);
		const cut = next(bytes.length);
		connection.socket.write(bytes.subarray(0, cut));
		await new Promise((resolve) => setImmediate(resolve));
		connection.socket.write(bytes.subarray(cut));
		for (let turns = next(6); turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve));
		connection.socket.destroy();
	};
	let grownFrom = 0;
	for (let round = 0; round < 30; round++) {
		if (round === 10) grownFrom = livingMiB();
		for (let i = 0; i < 10; i++) await Promise.all(Array.from({ length: 10 }, converse));
		const got = await call(session, { body: [framed(`round ${round}`)] });
		if (got.code !== 0 || !got.body.equals(framed(`round ${round}`))) t.fail(`round ${round}: ${got.code}`);
	}
	await until(() => server.streams() === 0);
	t.equal(streams.opened, streams.ended, `${streams.opened} streams, each with an end event`);
	t.ok(streams.messages > 100, `${streams.messages} messages came through`);
	t.ok(counters.ends.length > 1_000, `${counters.ends.length} calls`);
	t.ok(counters.broken.length > 100, `${counters.broken.length} connections broken`);
	t.equal(
		counters.faults.filter(([, error]) => !/a fault/.test(String(error))).length,
		0,
		"no handler met anything odd",
	);
	const grownMiB = livingMiB() - grownFrom;
	t.ok(grownMiB < 20, `${grownMiB.toFixed(1)} MiB more after 2,000 conversations`);
});

t.test("announced messages use memory only for the received bytes", async (t) => {
	const { socketPath, server } = await startEcho(t);
	const begin = Buffer.from([0, 0x00, 0x0f, 0xff, 0xff, 1, 2, 3]);
	const before = process.memoryUsage().rss;
	const connections = await Promise.all(
		Array.from({ length: 4 }, async () => {
			const connection = new RawConnection(socketPath);
			t.teardown(() => connection.socket.destroy());
			connection.socket.write(Buffer.concat([PREFACE, bytesOf(FRAME.SETTINGS, 0, 0)]));
			for (let i = 0; i < 1_000; i++) {
				const stream = 2 * i + 1;
				connection.socket.write(
					Buffer.concat([
						requestHeaders(stream),
						...[...begin].map((byte) => bytesOf(FRAME.DATA, 0, stream, Uint8Array.of(byte))),
					]),
				);
			}
			return connection;
		}),
	);
	await until(() => server.streams() === 4_000);
	const grownMiB = (process.memoryUsage().rss - before) / 2 ** 20;
	t.ok(grownMiB < 150, `${grownMiB.toFixed(0)} MiB for 4,000 calls that each announced 1 MiB`);
	t.equal((await call(open(t, socketPath), { body: [framed("a")] })).code, 0);
	for (const { socket } of connections) socket.destroy();
	await until(() => server.streams() === 0);
});
