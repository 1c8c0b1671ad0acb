/** The predictor answers only mTLS clients with an admitted id, so every request came through the mesh. */
import { once } from "node:events";
import { Agent } from "node:https";
import { connect } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import t, { type Test } from "tap";
import { peerOf } from "../../../src/publish/xds/peer.js";
import { clientRule, isClient, isSidecar } from "../../../src/serve/predictor/clients.js";
import { type PredictorOptions, startPredictor } from "../../../src/serve/predictor/server.js";
import { createDevelopmentCa, type IssuedCertificate } from "../../trust/identity/developmentCa.js";
import { byItsSession } from "../../trust/identity/resumption.js";
import { anyServer, call, employmentModel, rememberingMeter } from "./doubles.js";
import { identityOf } from "./svid.js";

const FEATURES = [46, 21, 1, 0, 2, 0, 3, 1, 4, 2, 1, 2, 2, 2, 1, 1];
const infer = {
	path: "/v2/models/plain/infer",
	body: { inputs: [{ name: "features", shape: [1, 16], datatype: "FP32", data: FEATURES }] },
};
const ENVOY = "spiffe://weir.test/weir/envoy/edge";
const HOUR_MS = 3_600_000;

const makeCa = (trustDomain = "weir.test", nowMs = Date.now()) =>
	createDevelopmentCa({ trustDomain, nowMs, lifetimeMs: 2 * HOUR_MS });

async function start(t: Test, clients = ["spiffe://weir.test/weir/envoy/*"], more: Partial<PredictorOptions> = {}) {
	const ca = await makeCa();
	const identity = identityOf(ca, await ca.issue({ spiffeId: "spiffe://weir.test/weir/predictor" }));
	const meter = rememberingMeter();
	const predictor = await startPredictor({
		models: [{ name: "plain", path: employmentModel("plain") }],
		address: "127.0.0.1",
		port: 0,
		workers: 1,
		guard: { identity, clients: clients.map(clientRule) },
		meter,
		...more,
	});
	t.teardown(() => predictor.close());
	const tlsOf = (own: IssuedCertificate | null, authority = ca) => ({
		ca: authority.certificate,
		...(own === null ? {} : { cert: own.certificate, key: own.privateKey }),
	});
	const refused = (reason: string): number =>
		meter.counts.get(`weir_predictor_connections_refused_total${JSON.stringify({ reason })}`) ?? 0;
	return { ca, identity, meter, url: predictor.url, tlsOf, refused };
}

t.test("client rules are exact ids, or prefixes of whole path segments", async (t) => {
	const rules = ["spiffe://a/weir/envoy/*", "spiffe://a/job"].map(clientRule);
	for (const id of ["spiffe://a/weir/envoy/edge", "spiffe://a/weir/envoy/x/y", "spiffe://a/job"])
		t.ok(isClient(rules, id), id);
	for (const id of [
		"spiffe://a/weir/envoy",
		"spiffe://a/weir/envoyer/edge",
		"spiffe://b/weir/envoy/edge",
		"spiffe://a/job/1",
		"spiffe://a/jo",
	])
		t.notOk(isClient(rules, id), id);
	for (const text of [
		"*",
		"spiffe://a/*",
		"spiffe://a",
		"spiffe://a/b*",
		"spiffe://a/*/b",
		"https://a/b",
		"spiffe://a/b/",
	])
		t.throws(() => clientRule(text), { code: "invalid-argument" }, text);
});

t.test("only the Envoy's id gets answers, to health checks too", async (t) => {
	const { ca, url, tlsOf, refused } = await start(t);
	t.match(url, /^https:\/\/127\.0\.0\.1:\d+$/);
	const envoy = tlsOf(await ca.issue({ spiffeId: ENVOY }));
	t.equal((await call(url, { ...infer, tls: envoy })).status, 200);
	t.equal((await call(url, { path: "/v2/health/ready", tls: envoy })).status, 200);
	const { first, second } = await byItsSession(Number(new URL(url).port), envoy);
	t.not(first.received, "");
	t.match(second, { reused: false, received: "" }, "a session is no certificate");

	const foreign = await makeCa("other.test");
	const expired = await ca.issue({ spiffeId: ENVOY, nowMs: Date.now() - HOUR_MS, lifetimeMs: HOUR_MS / 2 });
	const impostor = await makeCa();
	const cases: readonly [what: string, tls: ReturnType<typeof tlsOf>, reason: string][] = [
		["no certificate", tlsOf(null), "no-certificate"],
		[
			"another id of the trust domain",
			tlsOf(await ca.issue({ spiffeId: "spiffe://weir.test/weir/sidecar" })),
			"not-a-client",
		],
		[
			"an id that begins alike",
			tlsOf(await ca.issue({ spiffeId: "spiffe://weir.test/weir/envoys/edge" })),
			"not-a-client",
		],
		["an expired certificate", tlsOf(expired), "certificate-ended"],
		[
			"another trust domain",
			tlsOf(await foreign.issue({ spiffeId: "spiffe://other.test/weir/envoy/edge" })),
			"untrusted-certificate",
		],
		["the right id by another authority", tlsOf(await impostor.issue({ spiffeId: ENVOY })), "untrusted-certificate"],
	];
	for (const [what, tls, reason] of cases) {
		const before = refused(reason);
		for (const asked of [infer, { path: "/v2/health/live" }, { path: "/v2" }])
			await t.rejects(call(url, { ...asked, tls }), `${what}: ${asked.path}`);
		t.equal(refused(reason) - before, 3, `${what} is counted`);
	}
	const plain = refused("tls");
	await t.rejects(call(url.replace("https", "http"), infer), "plain HTTP");
	t.equal(refused("tls") - plain, 1, "is counted");
	const cut = connect({ host: "127.0.0.1", port: Number(new URL(url).port) });
	cut.once("connect", () => cut.end());
	await once(cut.resume(), "close");
	t.equal((await call(url, { ...infer, tls: envoy })).status, 200, "and the next one is served");
	t.equal(refused("tls") - plain, 1, "a load balancer's health check is unauthenticated");
});

t.test("a certificate with two ids, or none, is unauthenticated", async (t) => {
	const { ca, identity, url, tlsOf, refused } = await start(t);
	const own = await ca.issue({ spiffeId: ENVOY });
	t.teardown(() => void Object.assign(identity, { idOf: () => null }));
	Object.assign(identity, { idOf: () => null });
	await t.rejects(call(url, { ...infer, tls: tlsOf(own) }));
	t.equal(refused("no-svid"), 1);
});

t.test("no request fails while certificate and bundle rotate under load", async (t) => {
	const { ca, identity, url, tlsOf } = await start(t);
	const own = await ca.issue({ spiffeId: ENVOY });
	const agents = [1, 2].map(
		() => new Agent({ keepAlive: true, maxSockets: 2, ...tlsOf(own), checkServerIdentity: anyServer }),
	);
	t.teardown(() => {
		for (const agent of agents) agent.destroy();
	});
	let running = true;
	const statuses = new Map<number, number>();
	const load = async (kept: boolean, index: number): Promise<void> => {
		while (running) {
			const agent = agents[index];
			const { status } = await call(url, {
				...infer,
				tls: tlsOf(own),
				...(kept && agent !== undefined ? { agent } : {}),
			});
			statuses.set(status, (statuses.get(status) ?? 0) + 1);
			await pause(5);
		}
	};
	const loads = [load(true, 0), load(true, 1), load(false, 0), load(false, 1)];
	const next = await makeCa();
	for (let round = 0; round < 20; round++) {
		const renewed = await ca.issue({ spiffeId: "spiffe://weir.test/weir/predictor" });
		// A new authority joins the bundle before anything is signed by it.
		identity.rotate(renewed, `${ca.certificate}\n${round % 2 === 0 ? next.certificate : ""}`);
		await call(url, { ...infer, tls: tlsOf(own) });
	}
	running = false;
	await Promise.all(loads);
	t.same([...statuses.keys()], [200]);

	identity.rotate(await next.issue({ spiffeId: "spiffe://weir.test/weir/predictor" }), next.certificate);
	await t.rejects(call(url, { ...infer, tls: { ...tlsOf(own), ca: next.certificate } }), "the old authority is out");
	const other = tlsOf(await next.issue({ spiffeId: ENVOY }), next);
	t.equal((await call(url, { ...infer, tls: other })).status, 200, "the new one is in");
});

t.test("a connection is closed gracefully before its certificate expires, and at once after", async (t) => {
	// No sweep runs between the expiry and the request.
	t.intercept(globalThis, "setInterval", { value: () => setTimeout(() => {}, 0) });
	let aheadMs = 0;
	const { ca, url, tlsOf, refused } = await start(t, undefined, { nowMs: () => Date.now() + aheadMs });
	const own = tlsOf(await ca.issue({ spiffeId: ENVOY, lifetimeMs: HOUR_MS }));
	const agent = new Agent({ keepAlive: true, checkServerIdentity: anyServer });
	t.teardown(() => agent.destroy());
	t.match((await call(url, { ...infer, tls: own, agent })).headers, { connection: "keep-alive" });
	aheadMs = HOUR_MS - 30_000;
	const fresh = new Agent({ keepAlive: true, checkServerIdentity: anyServer });
	t.match((await call(url, { ...infer, tls: own, agent })).headers, { connection: "close" });
	aheadMs = 0;
	t.match((await call(url, { ...infer, tls: own, agent: fresh })).headers, { connection: "keep-alive" });
	aheadMs = HOUR_MS + 1_000;
	await t.rejects(call(url, { ...infer, tls: own, agent: fresh }));
	t.equal(refused("certificate-ended"), 1);
	fresh.destroy();
});

t.test("a predictor with an identity may listen anywhere; without clients it does not start", async (t) => {
	const { url } = await start(t, undefined, { address: "0.0.0.0" });
	t.match(url, /^https:\/\/0\.0\.0\.0:/);
	await t.rejects(start(t, []), { code: "invalid-argument", hint: /--clients/ });
});

t.test("a missing or refused decision gives 403 if decisions are required; health needs none", async (t) => {
	const asked: object[] = [];
	const meter = rememberingMeter();
	const { ca, url, tlsOf } = await start(t, undefined, {
		meter,
		decision: {
			service: "employment",
			variant: "v1",
			check: (question) => {
				asked.push(question);
				if (question.decisions[0] === "throws") throw new Error("no");
				return question.decisions[0] === "good" ? { use: () => null, giveBack: () => {} } : "expired";
			},
		},
	});
	const tls = tlsOf(await ca.issue({ spiffeId: ENVOY }));
	t.equal((await call(url, { ...infer, tls })).status, 403);
	t.equal((await call(url, { path: "/v2/models/plain", tls })).status, 403);
	t.same(asked, [], "without a decision no verifier is called");
	for (const path of ["/v2/health/live", "/v2/health/ready", "/v2/models/plain/ready"])
		t.equal((await call(url, { path, tls })).status, 200, path);
	for (const decision of ["bad", "throws"])
		t.equal((await call(url, { ...infer, tls, headers: { "x-weir-decision": decision } })).status, 403);
	const good = { ...infer, path: `${infer.path}?a=b`, tls, headers: { "x-weir-decision": "good" } };
	t.equal((await call(url, good)).status, 200);
	t.same(asked.at(-1), {
		decisions: ["good"],
		method: "POST",
		path: "/v2/models/plain/infer?a=b",
		service: "employment",
		variant: "v1",
	});
	t.equal(meter.counts.get("weir_predictor_decisions_refused_total{}"), 4);
});

t.test("only decisions of sidecars in the same trust domain count, with or without a name", async (t) => {
	for (const id of ["spiffe://weir.test/weir/sidecar", "spiffe://weir.test/weir/sidecar/a"]) {
		t.ok(isSidecar("weir.test", id), id);
		t.equal(peerOf(id)?.kind, "sidecar", "as in xDS");
	}
	for (const id of [
		"spiffe://other.test/weir/sidecar",
		"spiffe://weir.test/weir/sidecar/",
		"spiffe://weir.test/weir/sidecar/a/b",
		"spiffe://weir.test/weir/sidecar/..",
		"spiffe://weir.test/weir/sidecars",
		"spiffe://weir.test/weir/envoy/sidecar",
		"spiffe://weir.test/x/weir/sidecar",
	])
		t.notOk(isSidecar("weir.test", id), id);
});
