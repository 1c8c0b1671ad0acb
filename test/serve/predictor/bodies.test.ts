/** Unfinished bodies are aborted, and other requests are served. */
import { EventEmitter, once } from "node:events";
import { connect, type Socket } from "node:net";
import t, { type Test } from "tap";
import { INFER_BODY_BYTES_MAX } from "../../../src/limits/index.js";
import { type PredictorOptions, startPredictor } from "../../../src/serve/predictor/server.js";
import { call, employmentModel } from "./doubles.js";

t.setTimeout(120_000);

const FEATURES = [46, 21, 1, 0, 2, 0, 3, 1, 4, 2, 1, 2, 2, 2, 1, 1];
const TEXT = JSON.stringify({ inputs: [{ name: "features", shape: [1, 16], datatype: "FP32", data: FEATURES }] });
const PATH = "/v2/models/plain/infer";

async function start(t: Test, options: Partial<PredictorOptions> = {}) {
	/** Each status of a request, and each reason for which a body was ended. */
	const events = new EventEmitter();
	const predictor = await startPredictor({
		models: [{ name: "plain", path: employmentModel("plain") }],
		address: "127.0.0.1",
		port: 0,
		workers: 1,
		meter: {
			count: (_name, _help, labels) => events.emit(labels?.reason ?? `status ${labels?.status}`),
			gauge() {},
			observe() {},
		},
		...options,
	});
	t.teardown(() => predictor.close());
	const { url } = predictor;
	const counts = { crowded: 0, slow: 0 };
	events.on("crowded", () => counts.crowded++);
	events.on("slow", () => counts.slow++);
	return {
		events,
		counts,
		ask: () => call(url, { path: PATH, body: TEXT }),
		/** Resolves when all earlier bytes have been read, because this connection is later. */
		read: () => call(url, { path: "/v2/health/live" }),
		open: (...lines: readonly string[]) => open(t, Number(new URL(url).port), lines),
	};
}

interface Client {
	readonly socket: Socket;
	/** All received text, when the answer is complete. */
	readonly answer: Promise<string>;
	/** Resolves when this text has come. */
	received(text: string): Promise<void>;
}

/** Sends only the head of a request. */
function open(t: Test, port: number, lines: readonly string[]): Client {
	const socket = connect(port, "127.0.0.1");
	t.teardown(() => socket.destroy());
	let got = "";
	let look = (): void => {};
	let answered = (_text: string): void => {};
	const answer = new Promise<string>((resolve) => {
		answered = resolve;
	});
	socket.setEncoding("latin1").on("data", (text: string) => {
		got += text;
		if (/\r\n\r\n\{.*\}$/s.test(got)) answered(got);
		look();
	});
	socket.write([`POST ${PATH} HTTP/1.1`, "host: a", "content-type: application/json", ...lines, "", ""].join("\r\n"));
	const received = (text: string): Promise<void> =>
		new Promise((resolve) => {
			look = () => void (got.includes(text) && resolve());
			look();
		});
	return { socket, answer, received };
}

t.test("1,100 bodies that do not end: another client is served, and those furthest behind are ended", async (t) => {
	const { events, counts, ask, open } = await start(t);
	const enough = new Promise<void>((resolve) => events.on("crowded", () => void (counts.crowded === 76 && resolve())));
	const clients: Client[] = [];
	for (let at = 0; at < 1_100; at++) {
		const client = open("content-length: 100");
		client.socket.write("{");
		clients.push(client);
	}
	await Promise.race([enough, once(events, "status 503")]);
	t.match(await ask(), { status: 200 });
	t.equal(counts.crowded, 77);
	const answer = await Promise.race(clients.map(({ answer }) => answer));
	t.match(answer, /^HTTP\/1\.1 408 /);
	t.match(answer, /\r\nconnection: close\r\n/i);
	t.match(answer, /"error":"the body was not whole when others needed its room"/);
});

t.test("17 bodies of almost 16 MiB that do not end: another client is served, and the first is ended", async (t) => {
	const { ask, open } = await start(t);
	const most = Buffer.alloc(INFER_BODY_BYTES_MAX - 1, " ");
	const clients: Client[] = [];
	for (let at = 0; at < 17; at++) {
		const client = open(`content-length: ${INFER_BODY_BYTES_MAX}`);
		clients.push(client);
		await new Promise((resolve) => client.socket.write(most, resolve));
	}
	const first = await Promise.race(clients.map(async ({ answer }, at) => ({ at, text: await answer })));
	t.match(first, { at: 0, text: /^HTTP\/1\.1 408 / });
	t.match(await ask(), { status: 200 });
	const last = clients.at(-1);
	last?.socket.write(" ");
	await last?.received("HTTP/1.1 400 ");
});

t.test("a large body that keeps up stays, where a younger one that sends nothing is ended", async (t) => {
	// At 1 byte a second its text takes longer than it may fall behind.
	const { ask, read, open } = await start(t, { bodies: { bodies: 2, rate: 1 } });
	const large = open(`content-length: ${TEXT.length}`);
	await read();
	const silent = open(`content-length: ${TEXT.length}`);
	await read();
	large.socket.write(TEXT.slice(0, -1));
	await read();
	t.match(await ask(), { status: 200 });
	t.match(await silent.answer, /^HTTP\/1\.1 408 /);
	large.socket.write(TEXT.slice(-1));
	await large.received("HTTP/1.1 200 ");
});

t.test("a body that stalls is ended: at its head, at its last byte, and whole but without its end", async (t) => {
	const { counts, open } = await start(t, { bodies: { behindMs: 200 } });
	const almost = open(`content-length: ${TEXT.length + 1}`);
	almost.socket.write(TEXT);
	const endless = open("transfer-encoding: chunked");
	endless.socket.write(`${TEXT.length.toString(16)}\r\n${TEXT}\r\n`);
	for (const client of [open("content-length: 1"), almost, endless]) {
		t.match(await client.answer, /^HTTP\/1\.1 408 .*"error":"the body did not come in time"/s);
	}
	t.equal(counts.slow, 3);
});

t.test("a fast start of a body does not allow a later pause", async (t) => {
	const { events, open } = await start(t, { bodies: { behindMs: 200, rate: 1 } });
	const ended = once(events, "slow");
	open("content-length: 100000").socket.write(" ".repeat(99_999)); // at 1 byte a second a day's worth
	await ended;
});

t.test("a slow upload that keeps up is served, however long it takes", async (t) => {
	const { open } = await start(t, { bodies: { behindMs: 2_000, rate: 10 } });
	const client = open("transfer-encoding: chunked");
	const part = Math.ceil(TEXT.length / 10);
	for (let from = 0; from < TEXT.length; from += part) {
		await new Promise((resolve) => setTimeout(resolve, 300)); // the client's own pace: 3 s in all
		const text = TEXT.slice(from, from + part);
		client.socket.write(`${text.length.toString(16)}\r\n${text}\r\n`);
	}
	client.socket.write("0\r\n\r\n");
	await client.received("HTTP/1.1 200 ");
});

t.test("a body in chunks of one byte is read as one text", async (t) => {
	const { open } = await start(t);
	const client = open("transfer-encoding: chunked");
	const bytes = [...Buffer.from(TEXT.replace("{", '{"id":"ü🌊",'))];
	client.socket.write(
		Buffer.concat(bytes.map((byte) => Buffer.concat([Buffer.from("1\r\n"), Buffer.of(byte), Buffer.from("\r\n")]))),
	);
	client.socket.write("0\r\n\r\n");
	await client.received(`"id":"${Buffer.from("ü🌊").toString("latin1")}"`);
});

t.test("Expect: 100-continue is answered if the body is wanted, and an announced size is checked", async (t) => {
	const { open } = await start(t);
	const wanted = open(`content-length: ${TEXT.length}`, "expect: 100-continue");
	await wanted.received("HTTP/1.1 100 ");
	wanted.socket.write(TEXT);
	await wanted.received("HTTP/1.1 200 ");
	const large = open(`content-length: ${INFER_BODY_BYTES_MAX + 1}`, "expect: 100-continue");
	t.match(await large.answer, /^HTTP\/1\.1 413 /);
	const encoded = open("content-length: 1", "expect: 100-continue", "content-encoding: gzip");
	t.match(await encoded.answer, /^HTTP\/1\.1 415 /);
});

t.test("a client that is still sending can read the answer without a reset", async (t) => {
	const { open } = await start(t);
	const client = open(`content-length: ${INFER_BODY_BYTES_MAX + 1}`);
	const faults: Error[] = [];
	client.socket.on("error", (error) => faults.push(error));
	await new Promise((resolve) => client.socket.write(Buffer.alloc(INFER_BODY_BYTES_MAX), resolve));
	await client.received('{"error":"the body is larger than the predictor takes"}');
	const ended = once(client.socket, "end");
	await new Promise((resolve) => client.socket.write(" ", resolve));
	await ended;
	t.same(faults, []);
});

t.test("a client that leaves while its decision is examined takes no place", async (t) => {
	let asked = (): void => {};
	let allow = (): void => {};
	const examined = new Promise<void>((resolve) => {
		asked = resolve;
	});
	const allowed = new Promise<void>((resolve) => {
		allow = resolve;
	});
	const check = async () => {
		asked();
		await allowed;
		return { use: () => null, giveBack() {} };
	};
	const { events, read, open } = await start(t, {
		decision: { service: "s", variant: "v1", check },
		bodies: { behindMs: 5_000 },
	});
	const { socket } = open("content-length: 1", "x-weir-decision: d");
	await examined;
	socket.destroy();
	await read();
	const ended = Promise.race(["status 408", "status 499"].map(async (name) => once(events, name).then(() => name)));
	allow();
	t.equal(await ended, "status 499");
});
