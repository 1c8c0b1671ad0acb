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
const nobody = { ca: tls.ca.certificate, servername: "gateway.test" };
const app = { ...nobody, cert: own.certificate, key: own.privateKey };

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

t.test("a connection without a request ends, one under a request or used again does not", async (t) => {
	const envoy = await stage(t, [IDLE, IDLE.replace("75s", "1s")]);
	const port = envoy.port("shop/public");
	const strangers = await Promise.all(Array.from({ length: 20 }, () => connected(t, port, nobody)));
	const http2 = await connected(t, port, { ...nobody, ALPNProtocols: ["h2"] });
	const known = await connected(t, envoy.port("edge"), app);
	t.same([...new Set(strangers.map(({ said }) => said))], ["open"]);
	const answers: string[] = [];
	const until = performance.now() + 4_000;
	const load = async (pauseMs: number): Promise<void> => {
		const ask = asker(t, port, nobody);
		while (performance.now() < until) {
			answers.push(await ask("/"));
			await new Promise((resolve) => setTimeout(resolve, pauseMs));
		}
	};
	const session = connectHttp2("https://model.test", {
		createConnection: () => connectTls({ host: "127.0.0.1", port, ALPNProtocols: ["h2"], ...nobody }),
	});
	t.teardown(() => session.destroy());
	session.on("error", () => {});
	const slow = session.request({ ":path": "/slow" });
	const slowStatus = once(slow, "response").then(([headers]) => (headers as { ":status": number })[":status"]);
	slow.resume().end();
	await Promise.all([
		...[...strangers, http2].map(({ socket }) => once(socket.resume(), "close")),
		load(0),
		load(300),
		asker(t, port, nobody)("/slow").then((said) => answers.push(said)),
	]);
	t.same([...new Set(answers)], ["200"], `${answers.length} requests`);
	t.equal(await slowStatus, 200, "HTTP/2 too");
	t.ok((await envoy.stat("http.gateway.shop/public.downstream_cx_idle_timeout")) >= strangers.length + 1);
	const names = new Set([...(await envoy.admin("/stats")).matchAll(/^(.+): \d/gm)].map(([, name]) => name));
	for (const counter of CONNECTION_COUNTERS)
		t.ok(names.has(counter.replace("NAME", "shop/public")), `${counter} is Envoy's`);
	t.equal(known.socket.destroyed, false, "who has shown a certificate may be silent for longer");
});

t.test("clients of one Gateway leave connections to another, and those that are refused are counted", async (t) => {
	const envoy = await stage(t, [EACH, EACH.replace("40000", "3")], [ALL, ALL.replace("50000", "5")]);
	const said: string[] = [];
	for (let n = 0; n < 9; n++) said.push((await connected(t, envoy.port("shop/public"), nobody)).said);
	t.equal(await asker(t, envoy.port("edge"), app)("/"), "200", "the other Gateway serves");
	t.same(said, [...Array(3).fill("open"), ...Array(6).fill("closed")]);
	t.equal(await envoy.stat("connection_limit.gateway.shop/public.limited_connections"), 6);
});

t.test("what the whole Envoy has too many of is counted at the Gateway that was asked", async (t) => {
	const envoy = await stage(t, [ALL, ALL.replace("50000", "2")]);
	for (let n = 0; n < 2; n++) await connected(t, envoy.port("shop/public"), nobody);
	for (let n = 0; n < 3; n++) t.equal((await connected(t, envoy.port("edge"), app)).said, "closed");
	t.equal(await envoy.stat("listener.gateway.edge.downstream_global_cx_overflow"), 3);
});

t.test("how long a connection lies idle is the Gateway's to say", async (t) => {
	const patient = { ...open, spec: { ...open.spec, connectionIdleTimeoutMs: 620_000 } };
	const impatient = { ...edge, spec: { ...edge.spec, connectionIdleTimeoutMs: 1_500 } };
	const listeners = (...gateways: (typeof edge)[]): string =>
		JSON.stringify(compile(resourceSet({ gateways }), EMPTY_STATUS, { collectors: NO_COLLECTORS }).envoy.listeners);
	t.match(listeners(patient), '"idle_timeout":"620s"');
	t.match(listeners(impatient), '"idle_timeout":"1.5s"');
	t.match(listeners(open), IDLE, "75 s where nothing is said");
	t.match(listeners(edge), '"idle_timeout":"1800s"');
});
