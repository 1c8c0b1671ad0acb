/** An Envoy's agent at xDS over mTLS: it reports for its own Envoy, waits for control, and may not use other names. */
import { EventEmitter, once } from "node:events";
import { status } from "@grpc/grpc-js";
import t from "tap";
import type { ProbeReport, ProbeTargets } from "../../../src/compile/access/bypass/probe.js";
import { type Probes, probeClient } from "../../../src/publish/xds/probes.js";
import { start } from "./tlsScene.js";

const TARGETS: ProbeTargets = { version: "1", gateways: [], services: [] };
const REPORT: ProbeReport = {
	version: "1",
	results: [{ gateway: "edge", service: "shop", outcome: "bypassed", detail: "rules:\n200" }],
	unjudged: { envoy: 0, sidecar: 2 },
};

t.test("an agent's report carries the Envoy's own Gateways, and the answer names what to probe", async (t) => {
	const taken: unknown[] = [];
	const probes: Probes = {
		next: async (envoy, report) => {
			taken.push([envoy, report]);
			return TARGETS;
		},
	};
	const { target, channel, refused } = await start(t, {
		probes,
		gatewaysOf: (id) => (/edge$/.test(id) ? ["edge"] : []),
	});
	const agent = async (path: string) => {
		const client = probeClient(target, await channel(path));
		t.teardown(() => client.close());
		return client;
	};
	const edge = await agent("weir/envoy/edge");
	t.same(await edge.next("edge", null), TARGETS);
	t.same(await edge.next("edge", REPORT), TARGETS);
	const own = { node: "edge", gateways: ["edge"] };
	const shown = { ...REPORT, results: REPORT.results.map((one) => ({ ...one, detail: "rules:?200" })) };
	t.same(taken, [
		[own, null],
		[own, shown],
	]);
	const denied = { code: status.PERMISSION_DENIED };
	await t.rejects(edge.next("other", null), denied);
	await t.rejects((await agent("weir/envoy/inner")).next("inner", null), denied);
	await t.rejects((await agent("weir/sidecar")).next("sidecar", null), denied);
	await t.rejects(edge.next("edge", { ...REPORT, version: 7 as never }));
	t.same(refused, ["another-node", "no-gateway", "type"]);
	t.equal(taken.length, 2);
});

t.test("control notices that a waiting agent has disconnected", async (t) => {
	const events = new EventEmitter();
	const [asked, gone] = [once(events, "asked"), once(events, "gone")];
	const probes: Probes = {
		next: (_envoy, _report, signal) =>
			new Promise((_, reject) => {
				events.emit("asked");
				signal.addEventListener("abort", () => {
					events.emit("gone");
					reject(signal.reason);
				});
			}),
	};
	const { target, channel } = await start(t, { probes });
	const client = probeClient(target, await channel("weir/envoy/edge"));
	const call = t.rejects(client.next("edge", null));
	await asked;
	client.close();
	await gone;
	await call;
});
