/** How many requests are passed on to a role at once. */
import { once } from "node:events";
import { type ClientRequest, createServer as createHttpServer, type IncomingMessage, request } from "node:http";
import { type AddressInfo, createServer, type Server } from "node:net";
import { join } from "node:path";
import t, { type Test } from "tap";
import { forwardTo } from "../../src/cli/roles/forward.js";
import { WeirError } from "../../src/error.js";
import { API_FORWARDED_AT_ONCE_MAX, API_FORWARDED_OF_SUBJECT_MAX } from "../../src/limits.js";
import { sendError } from "../../src/state/api/http.js";
import { temporaryDirectory } from "./command.js";

/** A door that passes on to a role, and clients of it. */
async function doorTo(t: Test, role: Server) {
	const socketPath = join(await temporaryDirectory(t), "role.sock");
	await once(role.listen(socketPath), "listening");
	t.teardown(() => role.close());
	const forward = forwardTo(socketPath, "ingest");
	const door = createHttpServer((request, response) => {
		const { how, subject } = request.headers;
		try {
			forward(request, response, { subject: String(subject), groups: [], how: how === "socket" ? "socket" : "mtls" });
		} catch (thrown) {
			sendError(response, WeirError.from(thrown));
		}
	});
	await once(door.listen(0, "127.0.0.1"), "listening");
	t.teardown(() => door.close());
	const { port } = door.address() as AddressInfo;
	return (subject: string, { how = "mtls", method = "GET" } = {}): ClientRequest =>
		request({ port, host: "127.0.0.1", headers: { how, subject }, agent: false, method }).on("error", () => {});
}

/** A role that answers when it is told to. */
async function scene(t: Test) {
	const waiting: (() => void)[] = [];
	let connections = 0;
	let tell = (): void => {};
	const role = createHttpServer((_, response) => {
		waiting.push(() => void response.end("ok"));
		tell();
	});
	role.on("connection", () => {
		connections++;
	});
	return {
		send: await doorTo(t, role),
		waiting,
		connections: () => connections,
		/** Resolves when so many have come to the role. */
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

t.test("of all so many; one more is told to come again, but for the owner", async (t) => {
	const { waiting, come, send } = await scene(t);
	const all = Array.from({ length: API_FORWARDED_AT_ONCE_MAX }, (_, at) =>
		statusOf(send(`s${at % (API_FORWARDED_AT_ONCE_MAX / API_FORWARDED_OF_SUBJECT_MAX)}`).end()),
	);
	await come(all.length);
	const [answer] = (await once(send("b").end(), "response")) as [IncomingMessage];
	t.match(answer, { statusCode: 503, headers: { "retry-after": "1" } });
	answer.resume();
	const owners = statusOf(send("o", { how: "socket" }).end());
	await come(all.length + 1);
	for (const answer of waiting) answer();
	t.equal(await owners, 200);
	t.same(new Set(await Promise.all(all)), new Set([200]));
});

t.test("who is answered before the end of its body has no place any more, whatever the role does", async (t) => {
	const role = createServer((socket) => {
		// It reads no body, and leaves the connection open.
		socket.on("error", () => {}).once("data", () => socket.write("HTTP/1.1 403 x\r\ncontent-length: 0\r\n\r\n"));
	});
	const send = await doorTo(t, role);
	// The last one's place is that of one before it.
	for (let count = 0; count <= API_FORWARDED_OF_SUBJECT_MAX; count++) {
		const slow = send("a", { method: "POST" });
		t.teardown(() => slow.destroy());
		slow.write("{");
		const [answer] = (await once(slow, "response")) as [IncomingMessage];
		t.equal(answer.statusCode, 403);
	}
});
