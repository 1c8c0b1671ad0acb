/** The alarm on a real Envoy: silent while verdicts are given, loud when a filter is gone from the chain (ai-gateway#2560). */

import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { createServer } from "node:net";
import t, { type Test } from "tap";
import { localAdmin } from "../../src/probe/envoyPage.js";
import { type ProbeRound, Prober } from "../../src/probe/prober.js";
import type { ResourceSet } from "../../src/resources/resource.js";
import type { MutualTls } from "../access/mutualTls.js";
import { attackedResources, attackScene, FORMS } from "../attack/scene.js";
import { exchange, get } from "../attack/wire.js";
import type { TestScope } from "../envoy/harness.js";
import { startUpstream } from "../fixtures/upstream.js";
import { asking, prober, traffic } from "./probed.js";

// Alone this file has tap's default of 30 s, which a slow machine needs for Envoy's starts.
t.setTimeout(240_000);

const brief = ({ alarms, results, counted }: ProbeRound) => ({ alarms, probed: results.length, counted });

interface HttpFilter {
	readonly name: string;
}

/** The bootstrap without these HTTP filters, and without what routes say of them. */
const without =
	(...names: readonly string[]) =>
	(bootstrap: object): object =>
		JSON.parse(JSON.stringify(bootstrap), (key, value) => {
			if (key === "http_filters") return (value as readonly HttpFilter[]).filter(({ name }) => !names.includes(name));
			return names.includes(key) ? undefined : value;
		});

for (const form of Object.keys(FORMS)) {
	t.test(`${form}: verdicts are given, and there is no alarm`, async (t) => {
		const scene = await attackScene(t, form);
		const own = await prober(scene);
		t.same(brief(await own.round()), { alarms: [], probed: 4, counted: false }, "the first round");
		t.same(await traffic(scene), [200, 200, 200]);
		t.same(brief(await own.round()), { alarms: [], probed: 4, counted: true }, "after traffic");
		t.same(brief(await own.round()), { alarms: [], probed: 4, counted: true }, "in silence");
		t.same(
			scene.upstream.take().filter(({ url }) => url.includes("weir-probe")),
			[],
			"no upstream has seen a probe",
		);
	});
}

t.test("native: no access filter is in the chain", async (t) => {
	const scene = await attackScene(t, "native", undefined, without("weir.gate", "weir.deny", "weir.allow"));
	const own = await prober(scene);
	const first = await own.round();
	t.same(
		first.alarms.map(({ alarm }) => alarm),
		Array(4).fill("probe-passed"),
	);
	t.same(await traffic(scene), [200, 200, 200], "and nobody else notices");
	const [alarm] = (await own.round()).alarms.filter((one) => one.alarm === "served-unjudged");
	t.match(alarm, { gateway: "edge", judgedBy: "envoy", services: ["guarded", "wide"] });
});

for (const form of Object.keys(FORMS)) {
	t.test(`${form}: the gate is gone, the others are there`, async (t) => {
		const scene = await attackScene(t, form, undefined, without("weir.gate"));
		t.match((await (await prober(scene)).round()).alarms, [
			{ alarm: "probe-misjudged", service: "guarded", guard: "gate", status: 403 },
			{ alarm: "probe-misjudged", service: "wide", guard: "gate", status: 403 },
		]);
	});
}

t.test("native: the filter that forbids is gone, the others are there", async (t) => {
	const scene = await attackScene(t, "native", undefined, without("weir.deny"));
	t.match((await (await prober(scene)).round()).alarms, [
		{ alarm: "probe-misjudged", service: "guarded", guard: "rules", status: 403 },
		{ alarm: "probe-misjudged", service: "wide", guard: "rules", status: 403 },
	]);
});

t.test("native: the filter that allows is gone, the others are there", async (t) => {
	const scene = await attackScene(t, "native", undefined, without("weir.allow"));
	const own = await prober(scene);
	t.same((await own.round()).alarms, [], "the probes are still refused");
	t.same(await traffic(scene), [200, 200, 200]);
	const alarms = [{ alarm: "served-unjudged", judgedBy: "envoy", served: 2 }];
	t.match((await own.round()).alarms, alarms);
	t.match((await own.round()).alarms, alarms, "in silence it stands");
});

t.test("native: two Gateways of one name, and the filter that allows is gone from the second", async (t) => {
	const twins = (port: number, tls: MutualTls) => {
		const { gateways, ...rest } = attackedResources(port, tls);
		const web = (namespace: string) =>
			gateways.map((one) => ({ ...one, metadata: { ...one.metadata, name: "web", namespace } }));
		return { ...rest, gateways: [...web("a"), ...web("b")] };
	};
	const scene = await attackScene(t, "native", twins, (bootstrap) =>
		JSON.parse(JSON.stringify(bootstrap), (key, value) => {
			if (key !== "listeners") return value;
			const [first, second] = value as readonly object[];
			return [first, without("weir.allow")(second ?? {})];
		}),
	);
	const own = await prober(scene);
	await own.round();
	for (const name of ["a/web", "b/web"]) {
		const target = await scene.tls.client(scene.envoy.port(name), "alice");
		t.same((await exchange(await target(), get("guarded.test", "/v2"))).statuses, [200], name);
	}
	t.match((await own.round()).alarms, [{ alarm: "served-unjudged", gateway: "b/web", judgedBy: "envoy", served: 1 }]);
});

for (const [form, filter] of [
	["ext_authz", "weir.verdict"],
	["ext_proc", "weir.process"],
] as const) {
	t.test(`${form}: the filter that asks is gone`, async (t) => {
		const scene = await attackScene(t, form, undefined, without(filter));
		const own = await prober(scene);
		t.same(
			(await own.round()).alarms.map((alarm) => ("status" in alarm ? [alarm.alarm, alarm.status] : [])),
			[
				["probe-unanswered", 503],
				["probe-unanswered", 503],
			],
			"the proof filter closes",
		);
		t.same(await traffic(scene), [503, 503, 200]);
	});
	t.test(`${form}: it and the filter that wants its proof are gone`, async (t) => {
		const scene = await attackScene(t, form, undefined, without(filter, "weir.proof"));
		const own = await prober(scene);
		t.same(
			(await own.round()).alarms.map(({ alarm }) => alarm),
			["probe-passed", "probe-passed"],
		);
		t.same(await traffic(scene), [200, 200, 200]);
		t.match(
			(await own.round()).alarms.filter(({ alarm }) => alarm === "served-unjudged"),
			[{ judgedBy: "sidecar", services: ["guarded", "wide"] }],
		);
	});
}

/** Services that try again, whose first answer of all is 503 after a second. */
async function retriedScene(t: TestScope, form: string, changed?: (bootstrap: object) => object) {
	let asked = 0;
	const port = await startUpstream(t as never, (_request, response) => {
		asked++;
		if (asked > 1) response.end("ok");
		else setTimeout(() => response.writeHead(503).end("busy"), 1_000);
	});
	const resources = (_port: number, tls: MutualTls): ResourceSet => {
		const { services, ...rest } = attackedResources(port, tls);
		const retries = { attempts: 5, on: ["5xx"], perTryTimeoutMs: 0 };
		return { ...rest, services: services.map((one) => ({ ...one, spec: { ...one.spec, retries } })) };
	};
	const scene = await attackScene(t, form, resources, changed);
	return { scene, asked: () => asked };
}

for (const form of Object.keys(FORMS)) {
	t.test(`${form}: a retry of a request that was judged before is no bypass`, async (t) => {
		const { scene, asked } = await retriedScene(t, form);
		const own = await prober(scene);
		await own.round();
		const answer = exchange(await scene.as("alice"), get("guarded.test", "/v2"));
		while (asked() === 0) await new Promise((resolve) => setTimeout(resolve, 10));
		t.same((await own.round()).alarms, [], "judged, and under way");
		t.equal(asked(), 1);
		t.same((await answer).statuses, [200]);
		t.equal(asked(), 2);
		t.same((await exchange(await scene.as("alice"), get("open.test", "/v2"))).statuses, [200]);
		t.same((await own.round()).alarms, [], "tried again, while an open Service is asked");
		t.same((await own.round()).alarms, [], "in silence");
	});
}

t.test("native: the filter that allows is gone, and what it would judge is tried again", async (t) => {
	const { scene } = await retriedScene(t, "native", without("weir.allow"));
	const own = await prober(scene);
	await own.round();
	t.same((await exchange(await scene.as("alice"), get("guarded.test", "/v2"))).statuses, [200]);
	t.match((await own.round()).alarms, [{ alarm: "served-unjudged", judgedBy: "envoy", services: ["guarded"] }]);
});

/** Services with one connection each, whose upstream answers /v2/slow when it is told to. */
async function waitingScene(t: Test, form: string, changed?: (bootstrap: object) => object) {
	const held: (() => void)[] = [];
	const port = await startUpstream(t as never, ({ url }, response) => {
		if (url === "/v2/slow") held.push(() => response.end("ok"));
		else response.end("ok");
	});
	const resources = (_port: number, tls: MutualTls): ResourceSet => {
		const { services, ...rest } = attackedResources(port, tls);
		const circuitBreaker = { maxConnections: 1, maxPendingRequests: 100, maxRequests: 100, maxRetries: 3 };
		return { ...rest, services: services.map((one) => ({ ...one, spec: { ...one.spec, circuitBreaker } })) };
	};
	const scene = await attackScene(t, form, resources, changed);
	const own = await prober(scene);
	const ask = async (host: string, path = "/v2") => (await exchange(await scene.as("alice"), get(host, path))).statuses;
	const judged = async (): Promise<number> => {
		const counters = ["rbac.weir_allow_.allowed", "ext_authz.weir_verdict.ok", "ext_proc.weir_process.streams_started"];
		const counts = await Promise.all(counters.map((one) => scene.envoy.stat(`http.gateway.edge.${one}`)));
		return Math.max(...counts);
	};
	await own.round();
	const answers = [ask("guarded.test", "/v2/slow")];
	while (held.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
	answers.push(ask("guarded.test"));
	while ((await judged()) < 2) await new Promise((resolve) => setTimeout(resolve, 10));
	t.same((await own.round()).alarms, [], "two are judged, and one of them waits for its connection");
	const answered = async () => {
		for (const answer of held) answer();
		t.same((await Promise.all(answers)).flat(), [200, 200]);
	};
	return { scene, own, ask, answered };
}

for (const form of Object.keys(FORMS)) {
	t.test(`${form}: a request that waited for its connection is no bypass`, async (t) => {
		const { own, ask, answered } = await waitingScene(t, form);
		await answered();
		t.same(await ask("open.test"), [200]);
		t.same((await own.round()).alarms, [], "sent on, while an open Service is asked");
		t.same((await own.round()).alarms, [], "in silence");
	});
}

t.test("native: the filter that allows goes while requests are under way", async (t) => {
	const { scene, own, ask, answered } = await waitingScene(t, "native", (bootstrap) =>
		JSON.parse(JSON.stringify(bootstrap), (key, value) => {
			if (key !== "listeners") return value;
			// It counts as the first does: as if that one's chain had changed.
			const [edge] = value as readonly object[];
			return [edge, { ...without("weir.allow")(edge ?? {}), name: "later" }];
		}),
	);
	const later = await scene.tls.client(scene.envoy.port("later"), "alice");
	const alarms: ProbeRound["alarms"][] = [];
	for (let round = 0; round < 2; round++) {
		t.same((await exchange(await later(), get("wide.test", "/v2"))).statuses, [200]);
		t.same(await ask("open.test"), [200]);
		alarms.push((await own.round()).alarms);
	}
	const alarm = { alarm: "served-unjudged", gateway: "edge", judgedBy: "envoy" };
	t.match(alarms, [[], [{ ...alarm, services: ["wide"], served: 1 }]], "one may have been the one that waits");
	await answered();
	t.match((await own.round()).alarms, [alarm], "what is owed ends nothing");
	t.same(await ask("guarded.test"), [200]);
	t.match((await own.round()).alarms, [alarm], "nor does another Service");
	t.same(await ask("wide.test"), [200]);
	t.same((await own.round()).alarms, [], "what is judged does");
});

t.test("a listener that is away, and an admin that is none, are told and no crash", async (t) => {
	const server = createServer((socket) => socket.resume().end("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"));
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	t.teardown(() => server.close());
	const listeners = [
		{ gateway: "edge", services: [{ name: "guarded", host: "guarded.test", judgedBy: "envoy", wild: false }] },
	] as const;
	const { port } = server.address() as { port: number };
	const own = new Prober({
		listeners: () => listeners,
		ask: asking({ address: "127.0.0.1", port, tls: null }),
		admin: localAdmin("/nowhere/admin.sock"),
	});
	t.same(brief(await own.round()), {
		alarms: Array(2).fill({ alarm: "probe-passed", gateway: "edge", service: "guarded", status: 200 }),
		probed: 2,
		counted: false,
	});
	server.close();
	await once(server, "close");
	t.match((await own.round()).alarms, Array(2).fill({ alarm: "probe-unanswered", status: null, why: /^ECONNREFUSED/ }));
});

t.test("an upstream that says what Envoy says of a closed Service is believed while that is closed", async (t) => {
	const asked: string[] = [];
	let closed: ReadonlySet<string> = new Set();
	const away = new Set<string>();
	const server = createHttpServer((request, response) => {
		asked.push(request.headers.host ?? "");
		if (away.size > 0) closed = away;
		response.writeHead(503).end("closed: configuration-refused\n");
	});
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	t.teardown(() => server.close());
	const service = (name: string) => ({ name, host: `${name}.test`, judgedBy: "envoy", wild: false }) as const;
	const listeners = [{ gateway: "edge", services: [service("guarded"), service("other")] }];
	const { port } = server.address() as { port: number };
	const own = new Prober({
		listeners: () => listeners,
		ask: asking({ address: "127.0.0.1", port, tls: null }),
		admin: null,
		closed: () => closed,
	});
	const passed = async () =>
		(await own.round()).alarms.map((one) => `${one.alarm} ${"service" in one ? one.service : ""}`);
	t.same(await passed(), [...Array(2).fill("probe-passed guarded"), ...Array(2).fill("probe-passed other")]);
	closed = new Set(["guarded"]);
	t.same(await passed(), Array(2).fill("probe-passed other"));
	closed = new Set();
	away.add("guarded").add("other");
	t.same(await passed(), [], "closed while the probe was under way");
	t.equal(asked.length, 12);
});
