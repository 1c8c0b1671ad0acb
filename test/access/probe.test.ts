/** What is an alarm, and what is none. */
import t from "tap";
import { probeAlarm } from "../../src/access/bypass/probe.js";
import { watchedListeners } from "../../src/access/bypass/watched.js";
import type { PlanTable } from "../../src/compiler/plan.js";

t.test("a wildcard is probed at a host that nobody has declared", async (t) => {
	const service = (name: string, hosts: readonly string[]) => ({ name, hosts, access: {}, callout: null });
	const table = {
		gateways: [{ name: "edge" }],
		services: [
			service("wild", ["*.shop.test"]),
			service("decoy", ["weir-probe.shop.test", "weir-probe-2.shop.test"]),
			service("other", ["*.other.test"]),
		],
	} as unknown as PlanTable;
	t.same(
		watchedListeners(table).flatMap(({ services }) => services.map(({ host }) => host)),
		["weir-probe-3.shop.test", "weir-probe.shop.test", "weir-probe.other.test"],
	);
});

const result = { gateway: "edge", service: "guarded", guard: "gate", mayBeClosed: false } as const;

t.test("only a refusal in our own words is one", async (t) => {
	for (const [status, body, alarm] of [
		[403, "access denied: not-canonical\n", null],
		[403, "access denied: forbidden\n", "probe-misjudged"],
		[401, "access denied: invalid-token\n", "probe-misjudged"],
		[429, "access denied: rate-limited\n", "probe-misjudged"],
		[403, "Forbidden", "probe-passed"],
		[403, "access denied: not-canonical\nand more", "probe-passed"],
		[200, "access denied: not-canonical\n", "probe-passed"],
		[404, "", "probe-passed"],
		[302, "", "probe-passed"],
		[503, "unavailable\n", "probe-unanswered"],
		[503, "closed: configuration-refused\n", "probe-passed"],
		[200, "closed: configuration-refused\n", "probe-passed"],
		[null, "", "probe-unanswered"],
	] as const) {
		t.equal(probeAlarm({ ...result, status, body })?.alarm ?? null, alarm, `${status} ${body}`);
	}
});

t.test("that a Service is closed is believed of one that is closed alone", async (t) => {
	const body = "closed: configuration-refused\n";
	for (const guard of ["gate", "rules"] as const) {
		t.equal(probeAlarm({ ...result, guard, status: 503, body, mayBeClosed: true }), null);
		t.match(probeAlarm({ ...result, guard, status: 200, body, mayBeClosed: true }), { alarm: "probe-passed" });
		t.match(probeAlarm({ ...result, guard, status: 503, body: "", mayBeClosed: true }), { alarm: "probe-unanswered" });
	}
});

t.test("the rules' probe is refused by the rules; a limit before them leaves them unasked", async (t) => {
	for (const [status, body, alarm] of [
		[403, "access denied: forbidden\n", null],
		[429, "access denied: rate-limited\n", "probe-unanswered"],
		[403, "access denied: no-policy-allows\n", "probe-misjudged"],
		[403, "access denied: not-canonical\n", "probe-misjudged"],
		[200, "ok", "probe-passed"],
		[503, "unavailable\n", "probe-unanswered"],
		[503, "closed: configuration-refused\n", "probe-passed"],
	] as const) {
		t.equal(probeAlarm({ ...result, guard: "rules", status, body })?.alarm ?? null, alarm, `${status} ${body}`);
	}
});
