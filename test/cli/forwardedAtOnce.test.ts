/** How many requests are passed on to a role at once. */
import { once } from "node:events";
import { createServer as createHttpServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import t from "tap";
import { forwardTo } from "../../src/cli/roles/forward.js";
import { API_FORWARDED_AT_ONCE_MAX } from "../../src/limits.js";
import { temporaryDirectory } from "./command.js";

t.test("so many are passed on at once and the others wait, but for the owner's", async (t) => {
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
	const socketPath = join(await temporaryDirectory(t), "role.sock");
	await once(role.listen(socketPath), "listening");
	t.teardown(() => role.close());
	const come = async (count: number): Promise<void> => {
		while (waiting.length < count)
			await new Promise<void>((resolve) => {
				tell = resolve;
			});
	};
	const forward = forwardTo(socketPath, "ingest");
	const door = createHttpServer((request, response) => {
		const how = request.headers["x-how"] === "socket" ? "socket" : "mtls";
		forward(request, response, { subject: "a", groups: [], how });
	});
	await once(door.listen(0, "127.0.0.1"), "listening");
	t.teardown(() => door.close());
	const { port } = door.address() as AddressInfo;
	const ask = async (how: string): Promise<number> => {
		const asked = request({ port, host: "127.0.0.1", headers: { "x-how": how }, agent: false }).end();
		const [answer] = await once(asked, "response");
		await once(answer.resume(), "end");
		return answer.statusCode;
	};
	const all = Array.from({ length: 2 * API_FORWARDED_AT_ONCE_MAX }, () => ask("mtls"));
	await come(API_FORWARDED_AT_ONCE_MAX);
	const owners = ask("socket");
	await come(API_FORWARDED_AT_ONCE_MAX + 1);
	t.equal(connections, API_FORWARDED_AT_ONCE_MAX + 1);
	waiting.at(-1)?.();
	t.equal(await owners, 200);
	for (let at = 0; at < all.length + 1; at++) {
		await come(at + 1);
		waiting[at]?.();
	}
	t.same(new Set(await Promise.all(all)), new Set([200]));
	t.equal(connections, all.length + 1, "each on a connection of its own");
});
