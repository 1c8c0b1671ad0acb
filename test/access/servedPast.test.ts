/** Which counters of clusters and routes say that a Service was served by something else than a Gateway. */
import t from "tap";
import { gatewaysAt, triesBetween, underWayAtAll } from "../../src/access/bypass/servedPast.js";

type Numbers = Readonly<Record<string, number>>;

const between = (before: Numbers, after: Numbers) =>
	Object.fromEntries(triesBetween({ before: new Map(Object.entries(before)), after: new Map(Object.entries(after)) }));

const one = (variant: string, service = "prod/a"): string => `cluster.${service}/${variant}.upstream_rq_total`;
const by = (gateway: string, service = "prod/a"): string => `vhost.${service}.route.${gateway}.upstream_rq_total`;

t.test("a Service's clusters are sent what its routes are, of whichever Variant and Gateway", async (t) => {
	t.same(between({}, {}), {});
	t.same(between({ [one("v1")]: 1 }, { [one("v1")]: 4, [one("v2")]: 2, [by("edge")]: 3, [by("prod/other")]: 2 }), {
		"prod/a": { sent: 5, past: 0 },
	});
	t.same(between({}, { [one("v1")]: 4, [by("edge")]: 3 }), { "prod/a": { sent: 4, past: 1 } });
	t.same(
		between({}, { [one("v1", "a")]: 4, [by("edge")]: 4, [one("v1")]: 4 }),
		{ a: { sent: 4, past: 4 }, "prod/a": { sent: 4, past: 0 } },
		"a namesake's do not count",
	);
	t.same(between({}, { "cluster.weir_sidecar.upstream_rq_total": 9 }), {}, "nor Weir's own");
	t.same(
		between({ [one("v1")]: 9 }, { [one("v1")]: 2, [by("edge")]: 3 }),
		{ "prod/a": { sent: 0, past: -3 } },
		"a Variant that came again",
	);
	for (const after of [{}, { [by("gone")]: 1 }]) {
		t.same(
			between({ [by("gone")]: 5 }, { ...after, [one("v1")]: 2 }),
			{ "prod/a": { sent: 2, past: null } },
			"a Gateway is gone with what it counted",
		);
	}
});

t.test("Gateways, and what is under way at them", async (t) => {
	const at = new Map([
		["http.gateway.edge.downstream_rq_active", 2],
		["http.gateway.prod/edge.downstream_rq_active", 3],
		["http.mine.downstream_rq_active", 9],
	]);
	t.same(gatewaysAt(at), ["edge", "prod/edge"]);
	t.equal(underWayAtAll(at), 5);
});
