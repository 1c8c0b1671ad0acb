/** Control's side of the bypass probe: when rounds start, what raises an alarm, and when it ends. */
import t, { type Test } from "tap";
import { PROBE_LATE_MS, ProbeDesk } from "../../../src/cli/roles/probeDesk.js";
import type { Outcome, ProbeReport, ProbeTargets } from "../../../src/compile/access/bypass/probe.js";
import type { ProxyStatus } from "../../../src/decide/rollout/ports.js";
import { createLog } from "../../../src/observe/telemetry/log.js";
import { createMeter } from "../../../src/observe/telemetry/meter.js";

const TARGETS: ProbeTargets = {
	version: "1",
	gateways: [
		{ name: "edge", tls: "none" },
		{ name: "inner", tls: "mesh" },
	],
	services: [{ name: "shop", host: "shop.test", judgedBy: "envoy" }],
};

const report = (outcome: Outcome, envoy = 0, version = "1"): ProbeReport => ({
	...{ version, unjudged: { envoy, sidecar: 0 } },
	results: [{ gateway: "edge", service: "shop", outcome, detail: outcome === "denied" ? "" : "rules: 200" }],
});

function scene(_: Test) {
	const at = { nowMs: 1_000_000, proxies: [] as ProxyStatus[] };
	const lines: string[] = [];
	const meter = createMeter({ role: "xds" });
	const desk = new ProbeDesk({
		proxies: () => at.proxies,
		log: createLog({ role: "xds", environment: {}, write: (line) => void lines.push(line) }),
		meter,
		nowMs: () => at.nowMs,
	});
	const types = {
		listeners: { state: "SYNCED", sentVersion: "1", acceptedVersion: "1", error: "", source: "" },
	} as const;
	at.proxies = [{ node: "a", connectedAtMs: at.nowMs, types }];
	const gone = new AbortController();
	const next = (of: ProbeReport | null, gateways: readonly string[] | null = null) =>
		desk.next({ node: "a", gateways }, of, gone.signal);
	const gauge = async (): Promise<string> =>
		(await meter.text()).split("\n").find((line) => line.startsWith("weir_bypass_probe_failures")) ?? "";
	return { at, lines, desk, next, gone, gauge };
}

t.test("an agent waits for a published plan, and probes only its own Gateways", async (t) => {
	const { desk, next } = scene(t);
	const first = next(null, ["edge"]);
	desk.publish(TARGETS);
	t.same((await first).gateways, [{ name: "edge", tls: "none" }]);
	t.same(await next(report("denied", 0, "0")), TARGETS, "a report of an older plan is void: a round at once");
	t.same(desk.alarms(), []);
});

t.test("a requested probe waits for a round that starts after the request", async (t) => {
	const { at, desk, next } = scene(t);
	desk.publish(TARGETS);
	const early = desk.ask();
	await next(null);
	void next(report("denied")).catch(() => undefined);
	t.match(await early, [{ fresh: true, report: report("denied") }], "also for an agent that is about to connect");
	await next(null);
	const asked = desk.ask();
	const again = next(report("denied"));
	await again;
	const done = next(report("bypassed"));
	t.match(await asked, [{ envoy: "a", fresh: true, report: report("bypassed") }], "not the one that was under way");
	const other = desk.ask();
	await done;
	void next(report("denied")).catch(() => undefined);
	t.match(await other, [{ fresh: true, report: report("denied") }]);
	at.proxies = [];
	t.equal(await desk.ask(), null, "no Envoy");
});

t.test("a bypass is an alarm at once, which ends with a round in which requests are denied", async (t) => {
	const { lines, desk, next, gone, gauge } = scene(t);
	desk.publish(TARGETS);
	await next(null);
	for (let times = 0; times < 2; times++) void next(report("bypassed", 3)).catch(() => undefined);
	t.match(desk.alarms(), [
		{ gateway: "edge", alarm: "probe-failed", why: "Services bypassed: 1", envoy: "a" },
		{ gateway: "", alarm: "probe-failed", why: "requests that were served without a verdict: 3", envoy: "a" },
	]);
	t.match(await gauge(), / 4$/);
	t.match(lines, [/"service":"shop".*"detail":"rules: 200"/, /"requests":3/], "each is logged once");
	const last = next(report("denied"));
	t.same(desk.alarms(), []);
	t.match(await gauge(), / 0$/);
	gone.abort();
	await t.rejects(last);
});

t.test("a missing verdict or report is an alarm after three intervals", async (t) => {
	const { at, desk, next } = scene(t);
	desk.publish(TARGETS);
	at.nowMs += PROBE_LATE_MS - 1;
	t.same(desk.alarms(), []);
	at.nowMs += 1;
	t.match(desk.alarms(), [{ gateway: "", alarm: "probe-failed", why: /no probe since/, envoy: "a" }]);
	await next(null);
	void next(report("unanswered")).catch(() => undefined);
	t.same(desk.alarms(), [], "a sidecar may be starting");
	at.nowMs += PROBE_LATE_MS;
	void next(report("unanswered")).catch(() => undefined);
	t.match(desk.alarms(), [{ gateway: "edge", why: "Services unanswered: 1" }]);
	void next(report("denied")).catch(() => undefined);
	void next(report("unanswered")).catch(() => undefined);
	t.same(desk.alarms(), []);
	at.proxies = [];
	t.same(desk.alarms(), [], "an Envoy that has gone is not probed");
});

t.test("without a protected Service no report is expected", async (t) => {
	const { at, desk } = scene(t);
	desk.publish({ ...TARGETS, services: [] });
	at.nowMs += PROBE_LATE_MS;
	t.same(desk.alarms(), []);
});
