/** Which counters of an Envoy of another machine are kept: it may say any. */
import t from "tap";
import { isOfUse, mostCounters } from "../../src/access/bypass/knownCounters.js";
import { DROPPED_COUNTER } from "../../src/access/bypass/probe.js";
import { REMOTE_COUNTERS_MAX } from "../../src/limits.js";

const known = {
	gateway: (name: string) => name === "prod/edge",
	service: (name: string) => name === "prod/shop",
};

t.test("those of Gateways and Services that are known, whatever is counted", async (t) => {
	for (const name of [
		DROPPED_COUNTER,
		"cluster.prod/shop/v1.upstream_rq_total",
		"vhost.prod/shop.route.prod/edge.upstream_rq_completed",
		"http.gateway.prod/edge.downstream_rq_active",
		"http.gateway.prod/edge.rds.prod/edge.config_reload",
		"listener.gateway.prod/edge.downstream_global_cx_overflow",
		"connection_limit.gateway.prod/edge.limited_connections",
	])
		t.ok(isOfUse(name, known), name);
});

t.test("and no others", async (t) => {
	for (const name of [
		"x",
		"",
		"cluster.prod/other/v1.upstream_rq_total",
		"cluster.prod/shop.upstream_rq_total",
		"cluster.prod/shop/v1/v2.upstream_rq_total",
		"vhost.prod/other.route.prod/edge.upstream_rq_completed",
		"vhost.prod/shop.route.prod/other.upstream_rq_completed",
		"http.gateway.prod/other.downstream_rq_active",
		"listener.gateway.x1.downstream_global_cx_overflow",
		"connection_limit.gateway.x1.limited_connections",
		`${DROPPED_COUNTER}.x`,
	])
		t.notOk(isOfUse(name, known), name);
});

t.test("there is room for what is declared, all in use, and for no more than a bound", async (t) => {
	for (const [gateways, services] of [
		[1, 1],
		[2, 5_000],
		[9, 1_000],
	] as const)
		t.ok(mostCounters(gateways, services) > services * (4 * gateways + 5));
	t.ok(mostCounters(1, 1) < 25_000);
	t.equal(mostCounters(20, 8_000), REMOTE_COUNTERS_MAX);
});
