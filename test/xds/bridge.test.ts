/** Endpoints that wait for those that replace them: which, how long, and where none may. */
import t from "tap";
import { compile, NO_COLLECTORS } from "../../src/compiler/compile.js";
import type { EnvoyResources } from "../../src/compiler/plan.js";
import type { Variant } from "../../src/resources/resource.js";
import { EMPTY_STATUS } from "../../src/rollout/status.js";
import { type Bridge, bridged, bridgeEndsMs, bridgeOver } from "../../src/xds/bridge.js";
import { gateway, resourceSet, service } from "../fixtures/resources.js";
import { HEALTH } from "./healthCheck.js";

type Ports = Readonly<Record<string, readonly (number | readonly [port: number, region: string])[]>>;

/**
 * Of Service model, by Variant.
 * @param beside a further endpoint of a Variant, at port 9
 */
function planOf(
	variants: Ports,
	healthCheck: typeof HEALTH | null = HEALTH,
	beside: Readonly<Record<string, string>> = {},
): EnvoyResources {
	const declared = Object.entries(variants).map(
		([name, ports]): Variant => ({
			name,
			endpoints: [
				...(beside[name] === undefined ? [] : [{ address: beside[name], port: 9, locality: null }]),
				...ports.map((one) => {
					const [port, region] = typeof one === "number" ? [one, null] : one;
					return {
						address: "127.0.0.1",
						port,
						locality: region === null ? null : { region, zone: "", subZone: "" },
					};
				}),
			],
		}),
	);
	return compile(
		resourceSet({ gateways: [gateway()], services: [service("model", declared, { healthCheck })] }),
		EMPTY_STATUS,
		{ collectors: NO_COLLECTORS },
	).envoy;
}

/** What is published of v1 after a change, in order. */
function portsOf(now: EnvoyResources, bridge: Bridge, variant = "v1"): readonly number[] {
	const { envoy } = bridged({ envoy: now, table: { gateways: [], services: [] }, version: "" }, bridge);
	const one = envoy.endpoints.find(({ cluster_name }) => cluster_name === `model/${variant}`);
	return [...JSON.stringify(one).matchAll(/"port_value":(\d+)/g)].map(([, port]) => Number(port));
}

const over = (before: Ports, now: Ports, health: typeof HEALTH | null = HEALTH) => {
	const plan = planOf(now, health);
	return portsOf(plan, bridgeOver(planOf(before, health), new Map(), plan, 0));
};

t.test("where all are replaced the old ones stay beside them for a check's timeout", async (t) => {
	t.same(over({ v1: [1, 2] }, { v1: [3] }), [3, 1, 2]);
	t.same(over({ v1: [1, 2] }, { v1: [3] }, null), [3], "nobody checks, so that they serve at once");
	t.same(over({ v1: [1, 2] }, { v1: [2, 3] }), [2, 3, 1], "one that was there need not be healthy");
	t.same(over({ v1: [1, 2] }, { v1: [2] }), [2], "nothing new is to be checked");
	t.same(over({ v1: [1, 2] }, { v1: [] }), [], "none is to serve");
	const [a, b] = [planOf({ v1: [1] }), planOf({ v1: [2] })];
	t.same(portsOf(b, bridgeOver(null, new Map(), b, 0)), [2], "nothing was published before");
	const bridge = bridgeOver(a, new Map(), b, 10_000);
	t.equal(bridgeEndsMs(bridge), 10_000 + HEALTH.timeoutMs);
	t.equal(bridgeEndsMs(new Map()), null);
	t.same(portsOf(b, bridgeOver(b, bridge, b, 10_000 + HEALTH.timeoutMs)), [2], "then they go");
});

t.test("a change meanwhile neither ends nor lengthens it", async (t) => {
	const [a, b, both, c] = [[1], [2], [2, 3], [4]].map((ports) => planOf({ v1: ports })) as [
		EnvoyResources,
		EnvoyResources,
		EnvoyResources,
		EnvoyResources,
	];
	const first = bridgeOver(a, new Map(), b, 0);
	const second = bridgeOver(b, first, both, 500);
	t.same(portsOf(both, second), [2, 3, 1]);
	t.equal(bridgeEndsMs(second), HEALTH.timeoutMs);
	const third = bridgeOver(b, first, c, 500);
	t.same(portsOf(c, third), [4, 2, 1]);
	t.equal(bridgeEndsMs(third), HEALTH.timeoutMs, "the first one's");
	t.same(portsOf(c, bridgeOver(c, third, c, HEALTH.timeoutMs)), [4, 2], "the other's is later");
	t.same(portsOf(a, bridgeOver(b, first, a, 500)), [1], "one that comes back is there, and once");
});

t.test("none waits in another region than the new ones are in, or where it is another Variant's", async (t) => {
	t.same(
		over(
			{
				v1: [
					[1, "eu"],
					[2, "us"],
				],
			},
			{ v1: [[3, "eu"]] },
		),
		[3, 1],
	);
	t.same(over({ v1: [[1, "us"]] }, { v1: [[3, "eu"]] }), [3]);
	t.same(over({ v1: [1] }, { v1: [[3, "eu"]] }), [3]);
	t.same(over({ v1: [[1, "us"]] }, { v1: [3] }), [3, 1], "no DataClass lets one without a region in");
	t.same(over({ v1: [1], v2: [2] }, { v1: [2], v2: [1] }), [2], "exchanged");
	t.same(over({ v1: [1, 5], v2: [2] }, { v1: [3], v2: [2, 1] }), [3, 5]);
	const named = planOf({ v1: [3], v2: [1] });
	const dns = planOf({ v1: [3], v2: [1] }, HEALTH, { v2: "localhost" });
	const before = planOf({ v1: [1], v2: [2] });
	for (const [plan, what] of [
		[named, "by address"],
		[dns, "beside a DNS name, inline"],
	] as const)
		t.same(portsOf(plan, bridgeOver(before, new Map(), plan, 0)), [3], what);
});

t.test("an address is one in whatever spelling", async (t) => {
	const spelt = (one: string, two: string) => planOf({ v1: [3], v2: [] }, HEALTH, { v1: one, v2: two });
	const after = spelt("10.0.0.9", "FD00:0::1");
	t.same(portsOf(after, bridgeOver(spelt("fd00::1", "10.0.0.8"), new Map(), after, 0)), [9, 3], "it is v2's now");
});

t.test("what waits has a bound, whatever is published meanwhile", async (t) => {
	const many = (from: number) => Array.from({ length: 3_000 }, (_, at) => from + at);
	const plans = [1, 10_001, 20_001, 30_001].map((from) => planOf({ v1: many(from) }));
	let [before, bridge]: [EnvoyResources | null, Bridge] = [null, new Map()];
	for (const plan of plans) {
		bridge = bridgeOver(before, bridge, plan, 0);
		before = plan;
	}
	const waiting = bridge.get("model/v1") ?? [];
	t.equal(waiting.length, 5_000);
	t.match(waiting[0]?.key, /20001/, "the youngest");
});
