/** Which counters of an Envoy say that it served what nobody judged, and which do not. */
import t from "tap";
import type { Counters } from "../../src/access/bypass/counters.js";
import {
	NOTHING_OWED,
	type Owed,
	owedAt,
	routesChanged,
	type UnjudgedAlarm,
	unjudgedAlarms,
} from "../../src/access/bypass/unjudged.js";
import type { WatchedListener } from "../../src/access/bypass/watched.js";

/** Of either sign. */
const owing = (envoy: number, sidecar: number): Owed => ({ sent: { envoy, sidecar }, answered: { envoy, sidecar } });

/** Alarms between two readings after which nothing is owed. */
const between = (
	listener: WatchedListener,
	before: Counters,
	after: Counters,
	standing: readonly UnjudgedAlarm[] = [],
	owed: Owed = NOTHING_OWED,
	changed = false,
) => unjudgedAlarms(listener, { before, after, owed, changed }, standing);

t.test("more served than judged, by who judges", async (t) => {
	const listener: WatchedListener = {
		gateway: "prod/edge",
		services: [
			{ name: "prod/a", host: "a.test", judgedBy: "envoy", wild: false },
			{ name: "prod/b", host: "b.test", judgedBy: "sidecar", wild: false },
			{ name: "prod/c", host: "c.test", judgedBy: "envoy", wild: false },
		],
	};
	const served = (name: string): string => `vhost.prod/${name}.route.prod/edge.upstream_rq_total`;
	const retried = (name: string): string => `vhost.prod/${name}.route.prod/edge.upstream_rq_retry`;
	const native = "http.gateway.prod/edge.rbac.weir_allow_.allowed";
	const authz = "http.gateway.prod/edge.ext_authz.weir_verdict.ok";
	const proc = "http.gateway.prod/edge.ext_proc.weir_process.streams_started";
	const proof = "http.gateway.prod/edge.rbac.weir_proof_.allowed";
	type Numbers = Readonly<Record<string, number>>;
	const alarms = (after: Numbers, before: Numbers = {}, owed: Owed = NOTHING_OWED, changed = false) =>
		between(listener, new Map(Object.entries(before)), new Map(Object.entries(after)), [], owed, changed).map(
			(alarm) => `${alarm.judgedBy} ${alarm.services.join()} ${alarm.served}`,
		);
	t.same(alarms({}), []);
	t.same(alarms({ [served("a")]: 3 }), ["envoy prod/a 3"]);
	t.same(alarms({ [served("a")]: 3, [native]: 3 }), []);
	const namesake = native.replace("prod/edge", "edge");
	t.same(alarms({ [served("a")]: 3, [namesake]: 3 }), ["envoy prod/a 3"], "nor those of a namesake");
	t.same(alarms({ [served("a")]: 3, [authz]: 3, [proof]: 3 }), ["envoy prod/a 3"], "another's verdicts do not count");
	t.same(alarms({ [served("b")]: 2, [native]: 9 }), ["sidecar prod/b 2"]);
	for (const asked of [authz, proc]) {
		t.same(alarms({ [served("b")]: 2, [asked]: 2, [proof]: 2 }), []);
		t.same(alarms({ [served("b")]: 2, [asked]: 1, [proof]: 2 }), ["sidecar prod/b 1"]);
		t.same(alarms({ [served("b")]: 2, [asked]: 9, [proof]: 1 }), ["sidecar prod/b 1"], "open Services are asked about");
	}
	t.same(alarms({ [served("a")]: 3, [native]: 3 }, { [served("a")]: 3, [native]: 3 }), [], "nothing has moved");
	t.same(alarms({ [served("a")]: 4, [native]: 3 }, { [served("a")]: 3, [native]: 3 }), ["envoy prod/a 1"]);
	t.same(alarms({ [served("a")]: 2 }, { [served("a")]: 30, [native]: 30 }), ["envoy prod/a 2"], "Envoy was restarted");
	t.same(alarms({ [served("a")]: 2, [native]: 2 }, { [served("a")]: 30, [native]: 30 }), []);
	t.same(alarms({ [served("a")]: 200, [served("c")]: 1, [native]: 1 }), ["envoy prod/a,prod/c 200"], "a neighbour's");
	t.same(alarms({ [served("a")]: 5, [retried("a")]: 2, [native]: 3 }), [], "retries are judged with their requests");
	t.same(alarms({ [served("a")]: 5, [retried("a")]: 9, [served("c")]: 3, [native]: 3 }), [], "sent on or not");
	t.same(alarms({ [served("a")]: 5, [retried("c")]: 2, [native]: 3 }), ["envoy prod/a 2"], "those of its own");
	t.same(alarms({ [served("a")]: 5, [native]: 3 }, {}, owing(2, 0)), [], "judged before");
	t.same(alarms({ [served("a")]: 5, [native]: 3 }, {}, owing(1, 9)), ["envoy prod/a 1"], "by the other");
	const moved = { [served("a")]: 5, [native]: 3, [authz]: 2, [proof]: 2 };
	t.same(alarms(moved), ["envoy prod/a 2"]);
	t.same(alarms(moved, {}, NOTHING_OWED, true), [], "its judge may have changed meanwhile");
	t.same(alarms({ ...moved, [served("b")]: 1 }, {}, NOTHING_OWED, true), ["envoy prod/a 1", "sidecar prod/b 1"]);
});

t.test("that routes were replaced is told by Envoy, of each Gateway", async (t) => {
	const at = (name: string, value: number): Counters => new Map([[`http.gateway.${name}.config_reload`, value]]);
	t.ok(routesChanged("a/edge", at("a/edge.rds.weir/a/edge", 1), at("a/edge.rds.weir/a/edge", 2)));
	t.notOk(routesChanged("a/edge", at("a/edge.rds.weir/a/edge", 2), at("a/edge.rds.weir/a/edge", 2)));
	t.notOk(routesChanged("edge", at("a/edge.rds.weir/a/edge", 1), at("a/edge.rds.weir/a/edge", 2)));
});

t.test("what was sent on without a request that came is a retry of one that was judged before", async (t) => {
	const guarded = { name: "a", host: "a.test", judgedBy: "envoy", wild: false } as const;
	const alarms = (owed: number, total: number, retried: number, routed: number) =>
		between(
			{ gateway: "edge", services: [guarded] },
			new Map([["http.gateway.edge.downstream_rq_active", owed]]),
			new Map([
				["vhost.a.route.edge.upstream_rq_total", total],
				["vhost.a.route.edge.upstream_rq_retry", retried],
				["http.gateway.edge.rq_total", routed],
			]),
			[],
			owing(owed, owed),
		).length;
	for (const owed of [0, 1]) {
		t.equal(alarms(owed, 1, 1, 0), 0, "no request came");
		t.equal(alarms(owed, 1, 0, 0), 0, "one that was judged before waited for its connection");
	}
	t.equal(alarms(0, 2, 1, 1), 1, "one came, and was tried again");
	t.equal(alarms(0, 1, 2, 1), 1, "one came, and its third try alone found a connection");
	t.equal(alarms(0, 1, 1, 1), 1, "nobody else could have been served");
	t.equal(alarms(1, 1, 1, 5), 0, "those of open Services came");
	t.equal(alarms(0, 1, 1, 5), 1, "but none was under way that could be tried again");
	const sentOn = new Map([["http.gateway.edge.downstream_rq_active", 1]]);
	const again = new Map([
		["vhost.a.route.edge.upstream_rq_total", 1],
		["vhost.a.route.edge.upstream_rq_retry", 1],
	]);
	t.same(between({ gateway: "edge", services: [guarded] }, sentOn, again), [], "one that owes no try is tried again");
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
		proved: "http.gateway.edge.rbac.weir_proof_.allowed",
		tried: "vhost.a.route.edge.upstream_rq_total",
		retried: "vhost.a.route.edge.upstream_rq_retry",
	};
	let earlier: { owed: Owed; counters: Counters } | null = null;
	let standing: readonly UnjudgedAlarm[] = [];
	return readings.map((reading) => {
		const counters: Counters = new Map(reading.map(([name, value]) => [names[name] ?? name, value]));
		if (earlier !== null) standing = between(listener, earlier.counters, counters, standing, earlier.owed);
		const span = earlier === null ? null : { before: earlier.counters, owed: earlier.owed, changed: false };
		earlier = { owed: owedAt(listener, span, counters), counters };
		return standing.length;
	});
}

const reading = (active: number, routed: number, judged: number, tried: number, retried = 0) =>
	Object.entries({ active, routed, judged, proved: judged, tried, retried });

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
	const raised = between(listener, counters(0, 0), counters(3, 0));
	t.match(raised, [{ served: 3 }]);
	t.same(between(listener, counters(3, 0), counters(3, 0), raised), raised, "silence ends nothing");
	t.same(
		between(listener, counters(3, 0), counters(3, 4), raised),
		raised,
		"nor do verdicts that nobody was served by",
	);
	t.match(between(listener, counters(3, 0), counters(4, 0), raised), [{ served: 1 }], "it is told anew, once");
	t.same(between(listener, counters(3, 0), counters(4, 1), raised), [], "served and judged");
	t.same(between({ ...listener, services: [] }, counters(3, 0), counters(3, 0), raised), [], "nothing to judge");
	t.same(between({ ...listener, gateway: "other" }, counters(3, 0), counters(3, 0), raised), []);
});

t.test("of several Services it stands until each was served where all were judged", async (t) => {
	const service = (name: string) => ({ name, host: `${name}.test`, judgedBy: "envoy", wild: false }) as const;
	const listener: WatchedListener = { gateway: "edge", services: [service("a"), service("b")] };
	const counters = (a: number, b: number, judged: number) =>
		new Map([
			["vhost.a.route.edge.upstream_rq_total", a],
			["vhost.b.route.edge.upstream_rq_total", b],
			["http.gateway.edge.rbac.weir_allow_.allowed", judged],
		]);
	const raised = between(listener, counters(0, 0, 0), counters(3, 1, 1));
	t.match(raised, [{ services: ["a", "b"], served: 3 }]);
	const left = between(listener, counters(3, 1, 1), counters(3, 2, 2), raised);
	t.match(left, [{ services: ["a"], served: 3 }], "who is silent may still be served unjudged");
	t.same(between(listener, counters(3, 2, 2), counters(4, 2, 3), left, NOTHING_OWED, true), left, "nor in a change");
	t.same(
		between(listener, counters(3, 2, 2), counters(4, 3, 3), left, owing(1, 0)),
		left,
		"what is owed may have hidden it",
	);
	t.same(between(listener, counters(3, 2, 2), counters(4, 2, 3), left), []);
	t.same(between({ ...listener, services: [service("b")] }, counters(3, 2, 2), counters(3, 3, 3), left), []);
	t.match(between(listener, counters(3, 2, 2), counters(3, 4, 2), left), [{ services: ["a", "b"], served: 2 }]);
});

t.test("who was answered was sent on, whatever its retries found", async (t) => {
	const services = ["a", "b"].map((name) => ({ name, host: `${name}.test`, judgedBy: "envoy", wild: false }) as const);
	const listener: WatchedListener = { gateway: "edge", services };
	type Numbers = readonly [tries: number, retried: number, answered: number, interim?: number];
	const at = (judged: number, a: Numbers, b: Numbers = [0, 0, 0], active = 0): Counters =>
		new Map([
			["http.gateway.edge.rbac.weir_allow_.allowed", judged],
			["http.gateway.edge.downstream_rq_active", active],
			...[a, b].flatMap(([tries, retried, answered, interim = 0], index) => {
				const route = `vhost.${services[index]?.name}.route.edge.upstream_rq`;
				return [
					[`${route}_total`, tries],
					[`${route}_retry`, retried],
					[`${route}_completed`, answered + interim],
					[`${route}_1xx`, interim],
				] as const;
			}),
		]);
	const none = at(0, [0, 0, 0]);
	t.same(between(listener, none, at(9, [9, 9, 9])), [], "each met the dead endpoint first");
	t.match(between(listener, none, at(9, [9, 9, 9], [4, 0, 4])), [{ services: ["a", "b"], served: 4 }]);
	t.match(
		between(listener, none, at(9, [0, 9, 9], [4, 0, 4])),
		[{ served: 4 }],
		"nor does who was sent to nobody hide",
	);
	t.match(between(listener, none, at(9, [9, 0, 9], [4, 0, 0])), [{ served: 4 }], "who left before the answer");
	t.same(between(listener, none, at(9, [9, 0, 9, 5])), [], "interim answers are none");
	t.match(between(listener, none, at(9, [9, 9, 9], [4, 0, 4, 5])), [{ served: 4 }], "and hide none");
	// Judged and sent on before, answered now.
	const waiting = at(3, [3, 0, 0], [0, 0, 0], 3);
	const owed = owedAt(listener, { before: none, owed: NOTHING_OWED, changed: false }, waiting);
	t.same(owed, { sent: { envoy: 0, sidecar: 0 }, answered: { envoy: 3, sidecar: 0 } });
	t.same(between(listener, waiting, at(3, [3, 0, 3]), [], owed), []);
	t.match(between(listener, waiting, at(3, [3, 2, 3], [2, 0, 2]), [], owed), [{ served: 2 }]);
	const paid = owedAt(listener, { before: waiting, owed, changed: false }, at(3, [3, 0, 2], [0, 0, 0], 9));
	t.equal(paid.answered.envoy, 1, "each is owed once");
	// What stands is ended by no sign alone.
	const raised = between(listener, none, at(0, [0, 0, 0], [2, 0, 2]));
	t.match(raised, [{ services: ["b"] }]);
	t.same(between(listener, none, at(2, [0, 0, 1], [2, 0, 2]), raised).length, 1, "answered more than judged");
	t.same(between(listener, none, at(2, [0, 0, 0], [2, 0, 2]), raised), []);
});

t.test("who is under way when routes change may be judged by who judged before", async (t) => {
	const listener: WatchedListener = { gateway: "edge", services: [] };
	const now: Counters = new Map([["http.gateway.edge.downstream_rq_active", 7]]);
	const span = { before: new Map(), owed: NOTHING_OWED };
	t.same(owedAt(listener, { ...span, changed: true }, now), owing(7, 7));
	t.same(owedAt(listener, { ...span, changed: false }, now), NOTHING_OWED);
});

t.test("an alarm ends where tries and answers were both covered by verdicts, and by neither alone", async (t) => {
	const listener: WatchedListener = {
		gateway: "edge",
		services: [{ name: "a", host: "a.test", judgedBy: "envoy", wild: false }],
	};
	const standing = {
		alarm: "served-unjudged",
		gateway: "edge",
		services: ["a"],
		judgedBy: "envoy",
		served: 3,
	} as const;
	const after = (judged: number, tried: number, answered: number): Counters =>
		new Map([
			["http.gateway.edge.rbac.weir_allow_.allowed", judged],
			["vhost.a.route.edge.upstream_rq_total", tried],
			["vhost.a.route.edge.upstream_rq_completed", answered],
		]);
	const left = (...counts: Parameters<typeof after>) =>
		between(listener, new Map(), after(...counts), [standing], owing(1, 0));
	t.same(left(2, 2, 2), []);
	t.same(left(1, 2, 1), [standing], "one more was tried, which is owed");
	t.same(left(1, 1, 2), [standing], "one more was answered, which is owed");
});
