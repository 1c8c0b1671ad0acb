/** Unauthenticated connections without requests, on a real Envoy: closed soon, limited per Gateway, and counted. */

import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { connect as connectTls } from "node:tls";
import t, { type Test } from "tap";
import { compile, NO_COLLECTORS } from "../../src/compile/compile.js";
import { EMPTY_STATUS } from "../../src/decide/rollout/status.js";
import { mutualTls, spiffe } from "../compile/access/mutualTls.js";
import { CONNECTION_COUNTERS } from "../failure/connectionLimits.js";
import { gateway, resourceSet, service, variant } from "../fixtures/resources.js";
import { okOrSlow, startUpstream } from "../fixtures/upstream.js";
import { bootstrapOf, type RunningEnvoy, startEnvoy } from "./harness.js";
import { asker, connected } from "./tlsClients.js";

t.setTimeout(60_000);

const IDLE = '"idle_timeout":"75s"';
const EACH = '"max_connections":"40000"';
const ALL = '"max_active_downstream_connections":50000';

const tls = await mutualTls(t);
// Slow is longer than a connection may lie idle.
const upstream = await startUpstream(t, okOrSlow);
const edge = gateway({ tls: tls.gateway });
const open = {
	...gateway({ tls: { ...tls.gateway, clientCaFile: null } }),
	metadata: { ...edge.metadata, name: "public", namespace: "shop" },
};
const plan = compile(
	resourceSet({
		gateways: [edge, open],
		services: [service("model", [variant("v1", upstream)])],
	}),
	EMPTY_STATUS,
	{ collectors: NO_COLLECTORS },
);
const own = await tls.ca.issue({ spiffeId: spiffe("app") });
const anonymous = { ca: tls.ca.certificate, servername: "gateway.test" };
const app = { ...anonymous, cert: own.certificate, key: own.privateKey };

/** The plan with other bounds; what is not there cannot be replaced. */
async function stage(t: Test, ...changes: readonly (readonly [from: string, to: string])[]): Promise<RunningEnvoy> {
	return startEnvoy(t, (admin) => {
		let text = JSON.stringify(bootstrapOf(plan)(admin));
		for (const [from, to] of changes) {
			if (!text.includes(from)) throw new Error(`the bootstrap has no ${from}`);
			text = text.replaceAll(from, to);
		}
		return JSON.parse(text) as object;
	});
}

t.test("a connection without a request is closed, one with a request or used again is not", async (t) => {
	const envoy = await stage(t, [IDLE, IDLE.replace("75s", "1s")]);
	const port = envoy.port("shop/public");
	const unauthenticated = await Promise.all(Array.from({ length: 20 }, () => connected(t, port, anonymous)));
	const http2 = await connected(t, port, { ...anonymous, ALPNProtocols: ["h2"] });
	const known = await connected(t, envoy.port("edge"), app);
	t.same([...new Set(unauthenticated.map(({ state }) => state))], ["open"]);
	const answers: string[] = [];
	const until = performance.now() + 4_000;
	const load = async (pauseMs: number): Promise<void> => {
		const ask = asker(t, port, anonymous);
		while (performance.now() < until) {
			answers.push(await ask("/"));
			await new Promise((resolve) => setTimeout(resolve, pauseMs));
		}
	};
	const session = connectHttp2("https://model.test", {
		createConnection: () => connectTls({ host: "127.0.0.1", port, ALPNProtocols: ["h2"], ...anonymous }),
	});
	t.teardown(() => session.destroy());
	session.on("error", () => {});
	const slow = session.request({ ":path": "/slow" });
	const slowStatus = once(slow, "response").then(([headers]) => (headers as { ":status": number })[":status"]);
	slow.resume().end();
	await Promise.all([
		...[...unauthenticated, http2].map(({ socket }) => once(socket.resume(), "close")),
		load(0),
		load(300),
		asker(t, port, anonymous)("/slow").then((answer) => answers.push(answer)),
	]);
	t.same([...new Set(answers)], ["200"], `${answers.length} requests`);
	t.equal(await slowStatus, 200, "HTTP/2 too");
	t.ok((await envoy.stat("http.gateway.shop/public.downstream_cx_idle_timeout")) >= unauthenticated.length + 1);
	const names = new Set([...(await envoy.admin("/stats")).matchAll(/^(.+): \d/gm)].map(([, name]) => name));
	for (const counter of CONNECTION_COUNTERS)
		t.ok(names.has(counter.replace("NAME", "shop/public")), `${counter} is Envoy's`);
	t.equal(known.socket.destroyed, false, "who has shown a certificate may be silent for longer");
});

t.test("clients of one Gateway cannot use up another's connections; refused connections are counted", async (t) => {
	const envoy = await stage(t, [EACH, EACH.replace("40000", "3")], [ALL, ALL.replace("50000", "5")]);
	const states: string[] = [];
	for (let n = 0; n < 9; n++) states.push((await connected(t, envoy.port("shop/public"), anonymous)).state);
	t.equal(await asker(t, envoy.port("edge"), app)("/"), "200", "the other Gateway serves");
	t.same(states, [...Array(3).fill("open"), ...Array(6).fill("closed")]);
	t.equal(await envoy.stat("connection_limit.gateway.shop/public.limited_connections"), 6);
});

t.test("connections beyond the whole Envoy's limit are counted at their Gateway", async (t) => {
	const envoy = await stage(t, [ALL, ALL.replace("50000", "2")]);
	for (let n = 0; n < 2; n++) await connected(t, envoy.port("shop/public"), anonymous);
	for (let n = 0; n < 3; n++) t.equal((await connected(t, envoy.port("edge"), app)).state, "closed");
	t.equal(await envoy.stat("listener.gateway.edge.downstream_global_cx_overflow"), 3);
});

t.test("the Gateway's idleTimeout bounds how long a connection may be idle", async (t) => {
	const patient = { ...open, spec: { ...open.spec, connectionIdleTimeoutMs: 620_000 } };
	const impatient = { ...edge, spec: { ...edge.spec, connectionIdleTimeoutMs: 1_500 } };
	const listeners = (...gateways: (typeof edge)[]): string =>
		JSON.stringify(compile(resourceSet({ gateways }), EMPTY_STATUS, { collectors: NO_COLLECTORS }).envoy.listeners);
	t.match(listeners(patient), '"idle_timeout":"620s"');
	t.match(listeners(impatient), '"idle_timeout":"1.5s"');
	t.match(listeners(open), IDLE, "75 s by default");
	t.match(listeners(edge), '"idle_timeout":"1800s"');
});
