/** A round of the bypass probe on a real Envoy: all is denied, or a filter is missing from the chain (ai-gateway#2560). */
import { createServer } from "node:net";
import t, { type Test } from "tap";
import { probeTargets } from "../../../src/compile/access/bypass/probe.js";
import { envoyAdmin } from "../../../src/observe/agent/envoyAdmin.js";
import { Prober } from "../../../src/observe/agent/prober.js";
import { type AttackScene, attackedResources, attackScene, FORMS } from "../../attack/scene.js";
import { exchange, get } from "../../attack/wire.js";
import { gateway } from "../../fixtures/resources.js";

// Alone this file has tap's default of 30 s, which a slow machine needs for Envoy's starts.
t.setTimeout(240_000);

/** Both Services are probed through the one listener. */
async function proberOf(scene: AttackScene) {
	const identity = await scene.tls.ca.issue({ spiffeId: "spiffe://weir.test/weir/envoy/edge" });
	const prober = new Prober({
		admin: envoyAdmin(scene.adminSocket),
		meshTls: () => ({
			ca: scene.tls.ca.certificate,
			cert: identity.certificate,
			key: identity.privateKey,
			servername: "gateway.test",
		}),
		againMs: 1,
	});
	const { services } = probeTargets("1", scene.plan.table, []);
	return async () => {
		const { results, unjudged } = await prober.round({
			...{ version: "1", services },
			gateways: [{ name: "edge", tls: "mesh" }],
		});
		return { outcomes: results.map(({ service, outcome }) => `${service} ${outcome}`), unjudged, results };
	};
}

async function traffic(scene: AttackScene): Promise<readonly number[]> {
	const statuses: number[] = [];
	for (const host of ["guarded.test", "wide.test", "open.test"])
		statuses.push(...(await exchange(await scene.as("alice"), get(host, "/v2"))).statuses);
	return statuses;
}

/** The bootstrap without these HTTP filters and their per-route settings. */
const without =
	(...names: readonly string[]) =>
	(bootstrap: object): object =>
		JSON.parse(JSON.stringify(bootstrap), (key, value) => {
			if (key === "http_filters")
				return (value as readonly { readonly name: string }[]).filter(({ name }) => !names.includes(name));
			return names.includes(key) ? undefined : value;
		});

const DENIED = ["guarded denied", "wide denied"];
const NONE = { envoy: 0, sidecar: 0 };

for (const form of Object.keys(FORMS))
	t.test(`${form}: all probes are denied, and each served request has a verdict`, async (t) => {
		const scene = await attackScene(t, form);
		const round = await proberOf(scene);
		t.match(await round(), { outcomes: DENIED, unjudged: NONE });
		t.same(await traffic(scene), [200, 200, 200]);
		t.match(await round(), { outcomes: DENIED, unjudged: NONE });
		const probes = scene.upstream.take().filter(({ url }) => url.includes("weir-probe"));
		t.same(probes, [], "no upstream has seen a probe");
	});

/** @param served requests that the second round finds to be unjudged: of two rounds of probes, and the traffic */
function broken(form: string, filters: readonly string[], outcome: string, served: Partial<typeof NONE> = {}): void {
	t.test(`${form}: without ${filters.join(", ")}`, async (t: Test) => {
		const scene = await attackScene(t, form, undefined, without(...filters));
		const round = await proberOf(scene);
		t.same((await round()).outcomes, [`guarded ${outcome}`, `wide ${outcome}`]);
		await traffic(scene);
		t.same((await round()).unjudged, { ...NONE, ...served });
	});
}

broken("native", ["weir.gate", "weir.deny", "weir.allow"], "bypassed", { envoy: 10 });
broken("native", ["weir.deny"], "bypassed");
broken("native", ["weir.allow"], "denied", { envoy: 2 });
for (const form of Object.keys(FORMS)) broken(form, ["weir.gate"], "bypassed");
for (const [form, filter] of [
	["ext_authz", "weir.verdict"],
	["ext_proc", "weir.process"],
] as const) {
	broken(form, [filter], "unanswered");
	broken(form, [filter, "weir.proof"], "bypassed", { sidecar: 6 });
}

t.test("an absent listener, or one that cannot be probed, is reported", async (t) => {
	const scene = await attackScene(t, "native", (port, tls) => ({
		...attackedResources(port, tls),
		gateways: [gateway({ tls: tls.gateway })],
	}));
	const { services } = probeTargets("1", scene.plan.table, []);
	const prober = new Prober({ admin: envoyAdmin(scene.adminSocket), meshTls: null });
	const { results } = await prober.round({
		...{ version: "1", services: services.slice(0, 1) },
		gateways: [
			{ name: "away", tls: "none" },
			{ name: "edge", tls: "client-ca" },
			{ name: "edge", tls: "mesh" },
		],
	});
	t.match(results, [
		{ outcome: "unanswered", detail: "Envoy has no such listener" },
		{ outcome: "unprobed", detail: /its own CA/ },
		{ outcome: "unanswered", detail: /--identity/ },
	]);
});

t.test("no probe counts as denied if Envoy's admin does not answer", async (t) => {
	const prober = new Prober({ admin: envoyAdmin("/nowhere.sock"), meshTls: null });
	const targets = {
		version: "1",
		gateways: [{ name: "edge", tls: "none" }],
		services: [{ name: "a", host: "a.test", judgedBy: "envoy" }],
	} as const;
	t.match((await prober.round(targets)).results, [{ outcome: "unanswered", detail: /Envoy's admin cannot be read/ }]);
});

t.test("a silent listener delays the probe by one Service's timeout", async (t) => {
	const sockets = new Set<{ destroy(): void }>();
	const server = createServer((socket) => {
		sockets.add(socket);
		socket.destroy();
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	t.teardown(() => server.close());
	const { port } = server.address() as { port: number };
	const prober = new Prober({
		admin: {
			listeners: async () => new Map([["edge", { address: "0.0.0.0", port }]]),
			counters: async () => new Map(),
		},
		meshTls: null,
	});
	const { results } = await prober.round({
		version: "1",
		gateways: [{ name: "edge", tls: "none" }],
		services: ["a", "b", "c"].map((name) => ({ name, host: `${name}.test`, judgedBy: "envoy" })),
	});
	t.same(
		results.map(({ service, outcome }) => `${service} ${outcome}`),
		["a unanswered", "b unanswered", "c unanswered"],
	);
	t.equal(sockets.size, 2);
});
