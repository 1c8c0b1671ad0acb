/** How many requests are passed on to a role at once. */
import { once } from "node:events";
import { type ClientRequest, createServer as createHttpServer, type IncomingMessage, request } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import t, { type Test } from "tap";
import { forwardTo } from "../../src/cli/roles/forward.js";
import { WeirError } from "../../src/error.js";
import { CALLER_HEADER } from "../../src/events/outcomes/sender.js";
import { API_FORWARDED_AT_ONCE_MAX, API_FORWARDED_OF_SUBJECT_MAX } from "../../src/limits.js";
import { sendError } from "../../src/state/api/http.js";
import { temporaryDirectory } from "./command.js";

/** A role that answers when it is told to, and a door that passes on to it. */
async function scene(t: Test) {
	const waiting: { readonly subject: string; answer(): void }[] = [];
	let connections = 0;
	let tell = (): void => {};
	const role = createHttpServer((request, response) => {
		waiting.push({ subject: String(request.headers[CALLER_HEADER]), answer: () => void response.end("ok") });
		tell();
	});
	role.on("connection", () => {
		connections++;
	});
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
	return {
		waiting,
		connections: () => connections,
		/** Resolves when so many have come to the role. */
		come: async (count: number): Promise<void> => {
			while (waiting.length < count)
				await new Promise<void>((resolve) => {
					tell = resolve;
				});
		},
		send: (subject: string, { how = "mtls", method = "GET" } = {}) =>
			request({ port, host: "127.0.0.1", headers: { how, subject }, agent: false, method }).on("error", () => {}),
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
	for (const one of waiting.slice(-2)) one.answer();
	t.same(await Promise.all(others), [200, 200]);
	for (let at = 0; at < all.length + 2; at++) {
		await come(at + 1);
		waiting[at]?.answer();
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
	for (const one of waiting) one.answer();
	t.equal(await owners, 200);
	t.same(new Set(await Promise.all(all)), new Set([200]));
});

t.test("who is answered before the end of its body has no place any more", async (t) => {
	const { waiting, come, send } = await scene(t);
	for (let at = 0; at < API_FORWARDED_OF_SUBJECT_MAX; at++) {
		const slow = send("a", { method: "POST" });
		t.teardown(() => slow.destroy());
		slow.write("{");
		await come(at + 1);
		waiting[at]?.answer();
		await once(slow, "response");
	}
	const next = statusOf(send("a").end());
	await come(API_FORWARDED_OF_SUBJECT_MAX + 1);
	waiting.at(-1)?.answer();
	t.equal(await next, 200);
});
