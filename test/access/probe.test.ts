/** What is an alarm, and what is none. */
import t from "tap";
import {
	type Counters,
	type Owed,
	probeAlarm,
	triesOwed,
	type UnjudgedAlarm,
	unjudgedAlarms,
	type WatchedListener,
	watchedListeners,
} from "../../src/access/probe.js";
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

t.test("served and not judged, by who judges", async (t) => {
	const listener: WatchedListener = {
		gateway: "prod/edge",
		services: [
			{ name: "prod/a", host: "a.test", judgedBy: "envoy", wild: false },
			{ name: "prod/b", host: "b.test", judgedBy: "sidecar", wild: false },
		],
	};
	const served = (name: string): string => `vhost.prod/${name}.route.prod/edge.upstream_rq_total`;
	const native = "http.gateway.prod/edge.rbac.weir_allow_.allowed";
	const authz = "http.gateway.prod/edge.ext_authz.weir_verdict.ok";
	const proc = "http.gateway.prod/edge.ext_proc.weir_process.streams_started";
	const alarms = (after: Readonly<Record<string, number>>, before: Readonly<Record<string, number>> = {}) =>
		unjudgedAlarms(listener, new Map(Object.entries(before)), new Map(Object.entries(after))).map((alarm) =>
			alarm.alarm === "served-unjudged" ? `${alarm.judgedBy} ${alarm.services.join()} ${alarm.served}` : alarm.alarm,
		);
	t.same(alarms({}), []);
	t.same(alarms({ [served("a")]: 3 }), ["envoy prod/a 3"]);
	t.same(alarms({ [served("a")]: 3, [native]: 3 }), []);
	const namesake = native.replace("prod/edge", "edge");
	t.same(alarms({ [served("a")]: 3, [namesake]: 3 }), ["envoy prod/a 3"], "nor those of a namesake");
	t.same(alarms({ [served("a")]: 3, [authz]: 3 }), ["envoy prod/a 3"], "another's verdicts do not count");
	t.same(alarms({ [served("b")]: 2, [native]: 9 }), ["sidecar prod/b 2"]);
	t.same(alarms({ [served("b")]: 2, [authz]: 1 }), []);
	t.same(alarms({ [served("b")]: 2, [proc]: 1 }), []);
	t.same(alarms({ [served("a")]: 3, [native]: 3 }, { [served("a")]: 3, [native]: 3 }), [], "nothing has moved");
	t.same(alarms({ [served("a")]: 4, [native]: 3 }, { [served("a")]: 3, [native]: 3 }), ["envoy prod/a 1"]);
	t.same(alarms({ [served("a")]: 2 }, { [served("a")]: 30, [native]: 30 }), ["envoy prod/a 2"], "Envoy was restarted");
	t.same(alarms({ [served("a")]: 2, [native]: 2 }, { [served("a")]: 30, [native]: 30 }), []);
});

t.test("what was sent on without a request that came is a retry of one that was judged before", async (t) => {
	const guarded = { name: "a", host: "a.test", judgedBy: "envoy", wild: false } as const;
	const alarms = (underWay: number, total: number, retried: number, routed: number) =>
		unjudgedAlarms(
			{ gateway: "edge", services: [guarded] },
			new Map([["http.gateway.edge.downstream_rq_active", underWay]]),
			new Map([
				["vhost.a.route.edge.upstream_rq_total", total],
				["vhost.a.route.edge.upstream_rq_retry", retried],
				["http.gateway.edge.rq_total", routed],
			]),
		).length;
	for (const underWay of [0, 1]) {
		t.equal(alarms(underWay, 1, 1, 0), 0, "no request came");
		t.equal(alarms(underWay, 1, 0, 0), 0, "one that was judged before waited for its connection");
		t.equal(alarms(underWay, 2, 1, 1), 1, "one came, and was tried again");
	}
	t.equal(alarms(0, 1, 2, 1), 1, "one came, and its third try alone found a connection");
	t.equal(alarms(0, 1, 1, 1), 1, "nobody else could have been served");
	t.equal(alarms(1, 1, 1, 5), 0, "those of open Services came");
	t.equal(alarms(0, 1, 1, 5), 1, "but none was under way that could be tried again");
});

/** What a prober tells at each of these readings. */
function told(judgedBy: "envoy" | "sidecar", readings: readonly (readonly [string, number][])[]): readonly number[] {
	const listener: WatchedListener = {
		gateway: "edge",
		services: [{ name: "a", host: "a.test", judgedBy, wild: false }],
	};
	const names: Readonly<Record<string, string>> = {
		active: "http.gateway.edge.downstream_rq_active",
		routed: "http.gateway.edge.rq_total",
		judged:
			judgedBy === "envoy"
				? "http.gateway.edge.rbac.weir_allow_.allowed"
				: "http.gateway.edge.ext_authz.weir_verdict.ok",
		tried: "vhost.a.route.edge.upstream_rq_total",
		retried: "vhost.a.route.edge.upstream_rq_retry",
	};
	let earlier: { owed: Owed; counters: Counters } | null = null;
	let standing: readonly UnjudgedAlarm[] = [];
	return readings.map((reading) => {
		const counters: Counters = new Map(reading.map(([name, value]) => [names[name] ?? name, value]));
		if (earlier !== null) standing = unjudgedAlarms(listener, earlier.counters, counters, standing, earlier.owed);
		earlier = { owed: triesOwed(listener, earlier, counters), counters };
		return standing.length;
	});
}

const reading = (active: number, routed: number, judged: number, tried: number, retried = 0) =>
	Object.entries({ active, routed, judged, tried, retried });

for (const judge of ["envoy", "sidecar"] as const) {
	t.test(`${judge}: what was judged before and waited is sent on, while others come`, async (t) => {
		t.same(
			told(judge, [reading(0, 0, 0, 0), reading(2, 2, 2, 1), reading(0, 3, 2, 2), reading(0, 3, 2, 2)]),
			[0, 0, 0, 0],
			"for its connection",
		);
		t.same(
			told(judge, [reading(0, 0, 0, 0), reading(1, 1, 1, 1, 1), reading(0, 2, 1, 2, 1)]),
			[0, 0, 0],
			"for its retry",
		);
		t.same(told(judge, [reading(1, 0, 1, 0), reading(0, 2, 1, 1)]), [0, 0], "and the first reading found it waiting");
		t.same(
			told(judge, [reading(0, 0, 0, 0), reading(1, 1, 1, 0), reading(1, 2, 1, 0), reading(0, 3, 1, 1)]),
			[0, 0, 0, 0],
			"for several readings",
		);
	});

	t.test(`${judge}: requests under way hide no bypass that goes on`, async (t) => {
		t.same(
			told(judge, [reading(0, 0, 0, 0), reading(9, 9, 9, 9), reading(9, 11, 9, 10)]),
			[0, 0, 1],
			"streams that were sent on owe nothing",
		);
		t.same(
			told(judge, [
				reading(0, 0, 0, 0),
				reading(3, 9, 9, 7),
				reading(3, 10, 9, 9),
				reading(3, 11, 9, 10),
				reading(3, 11, 9, 10),
				reading(4, 12, 10, 11),
			]),
			[0, 0, 0, 1, 1, 0],
			"those that were judged and not sent on hide one try each, once; and a judged one ends it",
		);
		t.same(
			told(judge, [reading(9, 9, 9, 9), reading(9, 14, 9, 14), reading(9, 19, 9, 19)]),
			[0, 0, 1],
			"of before the first reading nothing is known",
		);
		t.same(
			told(judge, [reading(9, 90, 90, 5), reading(1, 99, 99, 6), reading(9, 101, 99, 8)]),
			[0, 0, 1],
			"who has left is sent on no more",
		);
		t.same(told(judge, [reading(9, 9, 0, 9), reading(9, 10, 0, 10)]), [0, 1], "no verdict was ever given");
	});

	t.test(`${judge}: a try that was owed ends no alarm`, async (t) => {
		t.same(
			told(judge, [
				reading(0, 0, 0, 0),
				reading(0, 1, 0, 1),
				reading(1, 1, 1, 1),
				reading(0, 2, 1, 2),
				reading(0, 3, 2, 3),
			]),
			[0, 1, 1, 1, 0],
		);
	});
}

t.test("what was served unjudged stands until requests are served and judged again", async (t) => {
	const guarded = { name: "a", host: "a.test", judgedBy: "envoy", wild: false } as const;
	const listener: WatchedListener = { gateway: "edge", services: [guarded] };
	const counters = (served: number, judged: number) =>
		new Map([
			["vhost.a.route.edge.upstream_rq_total", served],
			["http.gateway.edge.rbac.weir_allow_.allowed", judged],
		]);
	const raised = unjudgedAlarms(listener, counters(0, 0), counters(3, 0));
	t.match(raised, [{ served: 3 }]);
	t.same(unjudgedAlarms(listener, counters(3, 0), counters(3, 0), raised), raised, "silence ends nothing");
	t.same(
		unjudgedAlarms(listener, counters(3, 0), counters(3, 4), raised),
		raised,
		"nor do verdicts that nobody was served by",
	);
	t.match(unjudgedAlarms(listener, counters(3, 0), counters(4, 0), raised), [{ served: 1 }], "it is told anew, once");
	t.same(unjudgedAlarms(listener, counters(3, 0), counters(4, 1), raised), [], "served and judged");
	t.same(unjudgedAlarms({ ...listener, services: [] }, counters(3, 0), counters(3, 0), raised), [], "nothing to judge");
	t.same(unjudgedAlarms({ ...listener, gateway: "other" }, counters(3, 0), counters(3, 0), raised), []);
});
