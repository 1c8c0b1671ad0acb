/** Connections to a Gateway with TLS on a real Envoy: idle ones end, those with a certificate end gracefully. */
import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import t from "tap";
import { connectionLifeMs } from "../../src/cli/roles/connectionLife.js";
import { compile, NO_COLLECTORS } from "../../src/compile/compile.js";
import type { CompiledPlan } from "../../src/compile/plan/compiledPlan.js";
import { EMPTY_STATUS } from "../../src/decide/rollout/status.js";
import { mutualTls, spiffe } from "../compile/access/mutualTls.js";
import { gateway, resourceSet, service, variant } from "../fixtures/resources.js";
import { okOrSlow, startUpstream } from "../fixtures/upstream.js";
import { createDevelopmentCa } from "../trust/identity/developmentCa.js";
import { bootstrapOf, startEnvoy } from "./harness.js";
import { asker, connected } from "./tlsClients.js";

t.setTimeout(60_000);

const HANDSHAKE = '"transport_socket_connect_timeout":"10s"';
const LIFE = '"max_connection_duration":"1800s"';

/** The same with seconds for minutes; what is not there cannot be replaced. */
function hurried(plan: CompiledPlan): CompiledPlan {
	const text = JSON.stringify(plan);
	if (!text.includes(HANDSHAKE) || !text.includes(LIFE)) throw new Error("the listener has no bounds");
	return JSON.parse(
		text.replace(HANDSHAKE, HANDSHAKE.replace("10s", "1s")).replace(LIFE, LIFE.replace("1800s", "1s")),
	) as CompiledPlan;
}

const tls = await mutualTls(t);
// Slow is longer than the life of a connection.
const upstream = await startUpstream(t, okOrSlow);
const plan = compile(
	resourceSet({
		gateways: [gateway({ tls: tls.gateway })],
		services: [service("model", [variant("v1", upstream)])],
	}),
	EMPTY_STATUS,
	{ collectors: NO_COLLECTORS },
);
const envoy = await startEnvoy(t, bootstrapOf(hurried(plan)));
const own = await tls.ca.issue({ spiffeId: spiffe("app") });
const shown = { cert: own.certificate, key: own.privateKey, ca: tls.ca.certificate, servername: "gateway.test" };
const MANY_MS = 5_000;
/** Between two requests: hundreds in the life of a connection, without all of the machine. */
const BETWEEN_MS = 4;
const between = (ms = BETWEEN_MS): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

t.test("a connection that starts no TLS handshake is closed", async (t) => {
	const socket = connect(envoy.port(), "127.0.0.1");
	t.teardown(() => socket.destroy());
	await once(socket.resume(), "close");
	t.pass("by Envoy");
});

t.test("HTTP/1.1: connections are replaced under traffic, and no request fails", async (t) => {
	const sockets = new Set<unknown>();
	const answers = new Map<string, number>();
	const ask = asker(t, envoy.port(), { maxSockets: 2, ...shown }, (socket) => sockets.add(socket));
	const started = performance.now();
	const load = async (pauseMs: number): Promise<void> => {
		while (performance.now() - started < MANY_MS) {
			const result = await ask("/");
			answers.set(result, (answers.get(result) ?? 0) + 1);
			await between(pauseMs);
		}
	};
	await Promise.all([
		load(BETWEEN_MS),
		load(BETWEEN_MS),
		load(1_500),
		ask("/slow").then((result) => answers.set(result, 1)),
	]);
	t.same([...answers.keys()], ["200"]);
	t.ok(sockets.size > 4, `${sockets.size} connections for ${answers.get("200")} requests`);
});

t.test("HTTP/1.1: an idle connection is closed after an answer, not while a request may be on its way", async (t) => {
	const { socket } = await connected(t, envoy.port(), shown);
	const ask = async (): Promise<string> => {
		socket.write("GET / HTTP/1.1\r\nhost: model.test\r\n\r\n");
		let text = "";
		while (!text.includes("\r\n\r\n")) text += String((await once(socket, "data"))[0]);
		return text;
	};
	t.notMatch(await ask(), /connection: close/is);
	await between(1_500);
	const closed = once(socket, "close");
	t.match(await ask(), /^HTTP\/1\.1 200.*connection: close/is);
	await closed;
});

t.test("HTTP/2: connections are replaced by GOAWAY under traffic, and no request fails", async (t) => {
	const open = (): Promise<ReturnType<typeof connectHttp2>> =>
		new Promise((resolve) => {
			const session = connectHttp2("https://model.test", {
				createConnection: () =>
					connectTls({ host: "127.0.0.1", port: envoy.port(), ALPNProtocols: ["h2"], ...shown }) as TLSSocket,
			});
			t.teardown(() => session.destroy());
			session.on("error", () => {});
			session.once("connect", () => resolve(session));
		});
	let session = await open();
	let sessions = 1;
	const answers = new Map<string, number>();
	const ask = (path: string): Promise<string> =>
		new Promise((resolve) => {
			const asked = session.request({ ":path": path });
			asked.on("response", (headers) => {
				asked.resume().once("end", () => resolve(String(headers[":status"])));
			});
			asked.on("error", (error) => resolve(error.message));
			asked.end();
		});
	const started = performance.now();
	const slow = ask("/slow");
	while (performance.now() - started < MANY_MS) {
		if (session.closed || session.destroyed) {
			session = await open();
			sessions++;
		}
		const result = await ask("/");
		// Not sent, or not looked at: nghttp2 lets no request out behind a GOAWAY that has come (RFC 9113 8.7: ask again).
		if (result.includes("NGHTTP2_REFUSED_STREAM")) session.close();
		else answers.set(result, (answers.get(result) ?? 0) + 1);
		await between();
	}
	t.same([...answers.keys()], ["200"]);
	t.equal(await slow, "200");
	t.ok(sessions > 1, `${sessions} connections for ${answers.get("200")} requests`);
});

t.test("an Envoy accepts a bounded number of connections, and its admin still answers at the limit", async (t) => {
	const bound = '"max_active_downstream_connections":50000';
	const bootstrap = (adminSocket: string): object => {
		const text = JSON.stringify(bootstrapOf(plan)(adminSocket));
		if (!text.includes(bound)) throw new Error("the bootstrap has no bound");
		return JSON.parse(text.replace(bound, bound.replace("50000", "3"))) as object;
	};
	const few = await startEnvoy(t, bootstrap);
	const states: string[] = [];
	for (let index = 0; index < 5; index++) states.push((await connected(t, few.port(), shown)).state);
	t.same(states, ["open", "open", "open", "closed", "closed"]);
	t.match(await few.admin("/server_info"), /LIVE/);
});

t.test("a connection lives for about half of an SVID's lifetime", async (t) => {
	const ca = await createDevelopmentCa({ trustDomain: "weir.test", nowMs: Date.now(), lifetimeMs: 100 * 3_600_000 });
	const MINUTE = 60_000;
	for (const [life, expected] of [
		[61, 30],
		[60.5, 30],
		[25 * 60, 30],
		[45, 15],
	] as const) {
		const { certificate } = await ca.issue({ spiffeId: spiffe("control"), lifetimeMs: life * MINUTE });
		t.equal(connectionLifeMs(certificate), expected * MINUTE, `${life} minutes`);
	}
});
