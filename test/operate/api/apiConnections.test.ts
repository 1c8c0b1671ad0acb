/** The API's TCP listener under silent connections, and under certificates that end while their connection is open. */
import { once } from "node:events";
import { Agent, request } from "node:https";
import { connect } from "node:net";
import { connect as connectTls } from "node:tls";
import t from "tap";
import { API_CONNECTIONS_MAX } from "../../../src/limits/index.js";
import { byItsSession } from "../../trust/identity/resumption.js";
import { file } from "../employment.js";
import { mutualApi, operator, READS_NOTHING } from "../mutualApi.js";
import { binding } from "../operatorBinding.js";

t.setTimeout(60_000);

t.test("silent connections do not keep operators out", async (t) => {
	const { api, as } = await mutualApi(t);
	const { port } = new URL(api.url);
	const ada = await as("ada");
	for (let index = 0; index < API_CONNECTIONS_MAX + 100; index++) {
		const socket = connect(Number(port), "127.0.0.1");
		socket.on("error", () => {});
		t.teardown(() => socket.destroy());
		await once(socket, "connect");
	}
	await t.rejects(ada.get(), READS_NOTHING);
	await t.rejects((await as("bob")).get(), READS_NOTHING);
});

t.test("repeated connections of a workload without a role do not keep operators out", async (t) => {
	const crowded: unknown[] = [];
	const { api, ca, as, store } = await mutualApi(t, { onFull: () => void crowded.push(1) });
	const app = "spiffe://weir.test/ns/team/sa/app";
	const own = await ca.issue({ spiffeId: app });
	let over = false;
	t.teardown(() => {
		over = true;
	});
	const hold = (): Promise<void> =>
		new Promise((resolve) => {
			const shown = { ca: ca.certificate, cert: own.certificate, key: own.privateKey };
			const at = { host: "127.0.0.1", port: Number(new URL(api.url).port), checkServerIdentity: () => undefined };
			const socket = connectTls({ ...at, ...shown });
			socket.on("error", () => {});
			socket.once("secureConnect", resolve);
			socket.once("close", () => {
				resolve();
				if (!over) setImmediate(hold);
			});
			t.teardown(() => socket.destroy());
			socket.resume();
		});
	for (let index = 0; index < API_CONNECTIONS_MAX; index += 50) await Promise.all(Array.from({ length: 50 }, hold));
	for (let index = 0; index < 10; index++) await hold();
	for (const name of ["ada", "bob", "cy", "dora"]) await t.rejects((await as(name)).get(), READS_NOTHING, name);
	t.ok(crowded.length > 10);
	const records = store.audit.page(0, 100, "refused").records.filter(({ verb }) => verb === "connect");
	t.match(records[0], {
		subject: app,
		how: null,
		verb: "connect",
		objects: ["the API's TCP listener"],
		why: /the listener was full/,
	});
	t.ok(records.length <= 2, "one record a minute for all");
});

t.test("TLS connections without a token do not keep operators out", async (t) => {
	const { api, ca, withToken } = await mutualApi(t, {
		tokens: async (authorization) =>
			authorization === "Bearer good" ? { subject: "https://id.example#eve", groups: [] } : { refused: "no" },
	});
	const idle = connectTls({ port: Number(new URL(api.url).port), host: "127.0.0.1", rejectUnauthorized: false });
	t.teardown(() => idle.destroy());
	await once(idle, "secureConnect");
	const closed = once(idle.resume(), "close");
	await t.rejects(withToken("good").get(), READS_NOTHING);
	await t.rejects(withToken("bad").get(), { code: "permission-denied" });
	await closed;
	await t.rejects(withToken("good").get(), READS_NOTHING);
	const own = await ca.issue({ spiffeId: operator("ada") });
	const shown = { ca: ca.certificate, cert: own.certificate, key: own.privateKey };
	const { first, second } = await byItsSession(Number(new URL(api.url).port), shown);
	t.match(first.received, /^HTTP/);
	t.equal(second.reused, false, "a session is no certificate");
});

t.test("a connection ends with its certificate: gracefully before it, and unauthenticated after it", async (t) => {
	const { api, ca, store, owner } = await mutualApi(t, { clientLimits: { requests: 1_000_000 } });
	await owner.apply(file(binding("ada", "read, apply", ["ada"], "[default]")), { dryRun: false });
	const { port } = new URL(api.url);
	const LIFE_MS = 4_000;
	const issuedMs = Date.now();
	const own = await ca.issue({ spiffeId: operator("ada"), nowMs: issuedMs, lifetimeMs: LIFE_MS });
	const agent = new Agent({
		keepAlive: true,
		maxSockets: 1,
		cert: own.certificate,
		key: own.privateKey,
		ca: ca.certificate,
		checkServerIdentity: () => undefined,
	});
	t.teardown(() => agent.destroy());
	const sockets = new Set<unknown>();
	const ask = async (): Promise<readonly [number | undefined, string | undefined]> => {
		const asked = request({ port, host: "127.0.0.1", path: "/v1/resources", agent }).end();
		asked.once("socket", (socket) => sockets.add(socket));
		const [response] = (await once(asked, "response")) as [import("node:http").IncomingMessage];
		response.resume();
		await once(response, "end");
		return [response.statusCode, response.headers.connection];
	};
	t.same(await ask(), [200, "keep-alive"]);
	const [socket] = sockets as Set<import("node:tls").TLSSocket>;
	// Until it ends, with a request under way: an idle connection is ended before (test/trust/tls/connectionLimits.test.ts).
	const slow = request({
		port,
		host: "127.0.0.1",
		path: "/v1/resources?dryRun=true",
		method: "POST",
		agent,
		headers: { "content-type": "application/yaml" },
	});
	slow.write("{");
	while (Date.now() < issuedMs + LIFE_MS) await new Promise((resolve) => setTimeout(resolve, 100));
	slow.end();
	const [late] = (await once(slow, "response")) as [import("node:http").IncomingMessage];
	late.resume();
	await once(late, "end");
	t.same(await ask(), [403, "close"]);
	t.equal(sockets.size, 1, "by the same connection");
	if (!socket?.destroyed) await once(socket ?? agent, "close");
	t.match(store.audit.page(0, 10, "refused").records, [{ subject: null, result: "refused", why: /has ended/ }]);

	const next = await ca.issue({ spiffeId: operator("ada"), nowMs: Date.now(), lifetimeMs: LIFE_MS });
	Object.assign(agent.options, { cert: next.certificate, key: next.privateKey });
	const answers: (readonly [number | undefined, string | undefined])[] = [await ask()];
	while (answers.at(-1)?.[1] !== "close") answers.push(await ask());
	t.same(new Set(answers.map(([status]) => status)), new Set([200]), "served, then asked to close");
});
