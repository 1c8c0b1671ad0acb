/** How many requests are passed on to a role at once. */
import { once } from "node:events";
import { type ClientRequest, createServer as createHttpServer, type IncomingMessage, request } from "node:http";
import { type AddressInfo, createServer, type Server } from "node:net";
import { join } from "node:path";
import { mock } from "node:test";
import t, { type Test } from "tap";
import { forwardTo } from "../../src/cli/roles/forward.js";
import { WeirError } from "../../src/error.js";
import { CALLER_HEADER } from "../../src/events/outcomes/sender.js";
import {
	API_FORWARDED_AT_ONCE_MAX,
	API_FORWARDED_OF_OWNER_MAX,
	API_FORWARDED_OF_SUBJECT_MAX,
	API_FORWARDED_WAIT_MS,
	API_FORWARDED_WAIT_MS_MAX,
} from "../../src/limits.js";
import { Bodies } from "../../src/state/api/bodies.js";
import { sendError } from "../../src/state/api/http.js";
import { temporaryDirectory } from "./command.js";

/** A door that passes on to a role, and clients of it. */
async function doorTo(t: Test, role: Server, bodies = new Bodies()) {
	const socketPath = join(await temporaryDirectory(t), "role.sock");
	await once(role.listen(socketPath), "listening");
	t.teardown(() => role.close());
	const forward = forwardTo(socketPath, "ingest", bodies);
	const calls: IncomingMessage[] = [];
	const refused: unknown[] = [];
	let tell = (): void => {};
	const door = createHttpServer(async (request, response) => {
		const { how, subject } = request.headers;
		calls.push(request);
		tell();
		try {
			await forward(request, response, {
				subject: String(subject),
				groups: [],
				how: how === "socket" ? "socket" : "mtls",
			});
		} catch (thrown) {
			refused.push(thrown);
			sendError(response, WeirError.from(thrown));
		}
	});
	await once(door.listen(0, "127.0.0.1"), "listening");
	t.teardown(() => {
		door.closeAllConnections();
		door.close();
	});
	const { port } = door.address() as AddressInfo;
	return {
		refused,
		/** Resolves with the last of so many that have come to the door, whether passed on or not. */
		until: async (count: number): Promise<IncomingMessage> => {
			for (;;) {
				const call = calls[count - 1];
				if (call !== undefined) return call;
				await new Promise<void>((resolve) => {
					tell = resolve;
				});
			}
		},
		send: (subject: string, { how = "mtls", method = "GET" } = {}): ClientRequest =>
			request({ port, host: "127.0.0.1", headers: { how, subject }, agent: false, method }).on("error", () => {}),
	};
}

/** Not a millisecond before, and told to come again. */
async function isRefusedAfter(
	t: Test,
	ms: number,
	refused: readonly unknown[],
	answered: Promise<[IncomingMessage]>,
): Promise<void> {
	mock.timers.tick(ms - 1);
	await new Promise(setImmediate);
	t.same(refused, []);
	mock.timers.tick(1);
	const [answer] = await answered;
	t.match(answer, { statusCode: 503, headers: { "retry-after": "1" } });
	answer.resume();
}

/** A role that answers when it is told to. */
async function scene(t: Test, bodies = new Bodies()) {
	const waiting: (() => void)[] = [];
	const asked: string[] = [];
	let connections = 0;
	let tell = (): void => {};
	const role = createHttpServer((request, response) => {
		asked.push(decodeURIComponent(String(request.headers[CALLER_HEADER])));
		waiting.push(() => void response.end("ok"));
		tell();
	});
	role.on("connection", () => {
		connections++;
	});
	return {
		...(await doorTo(t, role, bodies)),
		/** The subjects, in the order in which they came to the role. */
		asked: () => asked,
		waiting,
		connections: () => connections,
		/** Resolves when so many of the role's wait for their answers. */
		come: async (count: number): Promise<void> => {
			while (waiting.length < count)
				await new Promise<void>((resolve) => {
					tell = resolve;
				});
		},
	};
}

async function statusOf(asked: ClientRequest): Promise<number> {
	const [answer] = (await once(asked, "response")) as [IncomingMessage];
	await once(answer.resume(), "end");
	return answer.statusCode ?? 0;
}

t.test("so many of a subject are passed on at once, and its others wait: nobody waits behind them", async (t) => {
	const { waiting, connections, come, send } = await scene(t);
	const all = Array.from({ length: 2 * API_FORWARDED_OF_SUBJECT_MAX }, () => statusOf(send("a").end()));
	await come(API_FORWARDED_OF_SUBJECT_MAX);
	const others = [statusOf(send("b").end()), statusOf(send("a", { how: "socket" }).end())];
	await come(API_FORWARDED_OF_SUBJECT_MAX + 2);
	t.equal(connections(), API_FORWARDED_OF_SUBJECT_MAX + 2);
	for (const answer of waiting.slice(-2)) answer();
	t.same(await Promise.all(others), [200, 200]);
	for (let at = 0; at < all.length + 2; at++) {
		await come(at + 1);
		waiting[at]?.();
	}
	t.same(new Set(await Promise.all(all)), new Set([200]));
	t.equal(connections(), all.length + 2, "each on a connection of its own");
});

t.test("of all so many: the others wait, the subjects in turn", async (t) => {
	const { waiting, come, send, asked, until } = await scene(t);
	const held = Array.from({ length: API_FORWARDED_AT_ONCE_MAX }, (_, at) =>
		statusOf(send(`s${at % (API_FORWARDED_AT_ONCE_MAX / API_FORWARDED_OF_SUBJECT_MAX)}`).end()),
	);
	await come(held.length);
	const further: Promise<number>[] = [];
	for (const subject of ["a", "a", "a", "b", "c", "c"]) {
		further.push(statusOf(send(subject).end()));
		await until(held.length + further.length);
	}
	const owners = statusOf(send("o", { how: "socket" }).end());
	await come(held.length + 1);
	waiting.pop()?.();
	t.equal(await owners, 200, "the owner waits for none of them");
	// Those of one subject, which has none that waits: each place is one for the others.
	for (let at = 0; at < further.length; at++) {
		waiting.shift()?.();
		await come(held.length);
	}
	t.same(asked().slice(-further.length), ["a", "b", "c", "a", "c", "a"]);
	for (const answer of waiting) answer();
	t.same(new Set(await Promise.all([...held, ...further])), new Set([200]));
});

t.test("who has waited too long is told to come again, and who has gone has no turn", async (t) => {
	mock.timers.enable({ apis: ["setTimeout"] });
	t.teardown(() => mock.timers.reset());
	const { waiting, come, send, asked, until, refused } = await scene(t);
	const subjects = Array.from({ length: API_FORWARDED_AT_ONCE_MAX / API_FORWARDED_OF_SUBJECT_MAX }, (_, n) => `s${n}`);
	const ofEach = Array.from({ length: API_FORWARDED_OF_SUBJECT_MAX }, () => subjects).flat();
	const held = ofEach.map((subject) => statusOf(send(subject).end()));
	await come(held.length);
	const behindItsOwn = statusOf(send("s0").end());
	await until(held.length + 1);
	const late = once(send("b").end(), "response") as Promise<[IncomingMessage]>;
	await until(held.length + 2);
	mock.timers.tick(1);
	const gone = send("b").end();
	const call = await until(held.length + 3);
	const left = new Promise<void>((resolve) => call.once("close", resolve));
	gone.destroy();
	await left;
	const next = statusOf(send("b").end());
	await until(held.length + 4);
	await isRefusedAfter(t, API_FORWARDED_WAIT_MS - 1, refused, late);
	const behind = subjects.map((subject) => `${API_FORWARDED_OF_SUBJECT_MAX} of ${subject}`).join(", ");
	t.match(refused, [{ code: "unavailable", behind: `ingest had ${behind}` }]);
	for (const answer of waiting.slice(0, 2)) answer();
	await come(held.length + 2);
	for (const answer of waiting) answer();
	t.same(new Set(await Promise.all([...held, behindItsOwn, next])), new Set([200]));
	t.equal(asked().length, held.length + 2);
});

t.test("of the owner so many are passed on at once, and its others wait however long", async (t) => {
	mock.timers.enable({ apis: ["setTimeout"] });
	t.teardown(() => mock.timers.reset());
	const { waiting, come, send, asked, until } = await scene(t);
	const held = Array.from({ length: API_FORWARDED_OF_OWNER_MAX }, () => statusOf(send("o", { how: "socket" }).end()));
	await come(held.length);
	const further = statusOf(send("last", { how: "socket" }).end());
	await until(held.length + 1);
	mock.timers.tick(2 * API_FORWARDED_WAIT_MS);
	const other = statusOf(send("b").end());
	await come(held.length + 1);
	t.equal(asked().at(-1), "b");
	for (const answer of waiting) answer();
	await come(held.length + 2);
	waiting.at(-1)?.();
	t.same(new Set(await Promise.all([...held, further, other])), new Set([200]));
});

t.test("a body that was sent while it waited is not slow", async (t) => {
	mock.timers.enable({ apis: ["setTimeout"] });
	t.teardown(() => mock.timers.reset());
	const { waiting, come, send, until } = await scene(t, new Bodies({ ms: API_FORWARDED_WAIT_MS / 2 }));
	const held = Array.from({ length: API_FORWARDED_OF_SUBJECT_MAX }, () => statusOf(send("a").end()));
	await come(held.length);
	const post = statusOf(send("a", { method: "POST" }).end("{}"));
	await until(held.length + 1);
	mock.timers.tick(API_FORWARDED_WAIT_MS - 1);
	waiting.shift()?.();
	await come(held.length);
	for (const answer of waiting) answer();
	t.same(new Set(await Promise.all([...held, post])), new Set([200]));
});

t.test(
	"who waits behind its own for too long is told to come again, and who gave up meanwhile is noticed",
	async (t) => {
		mock.timers.enable({ apis: ["setTimeout"] });
		t.teardown(() => mock.timers.reset());
		const { waiting, come, send, until, refused } = await scene(t);
		const held = Array.from({ length: API_FORWARDED_OF_SUBJECT_MAX }, () => statusOf(send("a").end()));
		await come(held.length);
		const behind = once(send("a").end(), "response") as Promise<[IncomingMessage]>;
		await until(held.length + 1);
		// More than Node reads of a body that nobody takes: it reads on when this one is refused, and sees no end before.
		const gone = send("a", { method: "POST" }).end(Buffer.alloc(400_000));
		const call = await until(held.length + 2);
		const left = new Promise<void>((resolve) => call.once("close", resolve));
		while (call.readableLength < call.readableHighWaterMark) await new Promise(setImmediate);
		gone.destroy();
		await isRefusedAfter(t, API_FORWARDED_WAIT_MS_MAX, refused, behind);
		await left;
		const named = `ingest had ${API_FORWARDED_OF_SUBJECT_MAX} of a`;
		t.match(refused, [{ behind: named }, { behind: named }]);
		for (const answer of waiting) answer();
		t.same(new Set(await Promise.all(held)), new Set([200]));
	},
);

t.test("a body that the role does not take is not told of as one that did not come", async (t) => {
	mock.timers.enable({ apis: ["setTimeout"] });
	t.teardown(() => mock.timers.reset());
	const role = createServer((socket) => socket.on("error", () => {}).pause());
	const { send, until } = await doorTo(t, role, new Bodies({ ms: 1_000 }));
	const post = send("a", { method: "POST" });
	const answered = once(post, "response") as Promise<[IncomingMessage]>;
	// More than sockets and streams hold.
	post.end(Buffer.alloc(6 * 1024 * 1024));
	const call = await until(1);
	while (!call.isPaused()) await new Promise(setImmediate);
	mock.timers.tick(1_000);
	const [answer] = await answered;
	t.match(answer, { statusCode: 503, headers: { "retry-after": "1" } });
	post.destroy();
});

t.test("who is answered before the end of its body has no place any more, whatever the role does", async (t) => {
	// Its answers would end after a while, and the places with them.
	mock.timers.enable({ apis: ["setTimeout"] });
	t.teardown(() => mock.timers.reset());
	const role = createServer((socket) => {
		// It reads no body, and leaves the connection open.
		socket.on("error", () => {}).once("data", () => socket.write("HTTP/1.1 403 x\r\ncontent-length: 2\r\n\r\nno"));
	});
	const { send } = await doorTo(t, role);
	// The last one's place is that of one before it.
	for (let count = 0; count <= API_FORWARDED_OF_SUBJECT_MAX; count++) {
		const slow = send("a", { method: "POST" });
		t.teardown(() => slow.destroy());
		slow.write("{");
		const [answer] = (await once(slow, "response")) as [IncomingMessage];
		t.equal(answer.statusCode, 403);
	}
});
