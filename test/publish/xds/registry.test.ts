/** The compiler's JSON and its protobuf encoding are equal. */
import t from "tap";
import { NO_COLLECTORS } from "../../../src/compile/compile.js";
import { dynamicBootstrap, staticBootstrap } from "../../../src/compile/envoy/bootstrap.js";
import { checkBootstrap, encodeEnvoyResource } from "../../../src/publish/xds/registry.js";
import { mentions } from "../../../src/publish/xds/rejection.js";
import { encodeResource } from "../../../src/publish/xds/resource.js";
import { tinyPlan } from "./tinyPlan.js";

const PLAN = tinyPlan({
	gatewayPort: 8080,
	services: { a: { host: "a", variants: { v1: 1001, v2: 1002 }, weights: { v1: 9, v2: 1 } } },
});
const [cluster, , ...none] = PLAN.clusters;
const options = { collectors: NO_COLLECTORS, nodeId: "n", adminSocket: "/a" };

t.test("equal content in another order of keys has the same bytes", async (t) => {
	t.equal(none.length, 0);
	const turned = Object.fromEntries(Object.entries(cluster ?? {}).reverse()) as (typeof PLAN.clusters)[number];
	t.same(encodeEnvoyResource(turned), encodeEnvoyResource(cluster as typeof turned));
});

t.test("an unknown field or type is an error that names it, deep inside an Any too", async (t) => {
	const type = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
	t.throws(() => encodeEnvoyResource({ "@type": type, name: "a", colour: 1 }), { code: "internal", message: /colour/ });
	t.throws(() => encodeEnvoyResource({ "@type": "type.googleapis.com/unknown.Type" }), { message: /unknown\.Type/ });
	const listener = (config: object) => ({
		"@type": "type.googleapis.com/envoy.config.listener.v3.Listener",
		filter_chains: [{ filters: [{ name: "f", typed_config: config }] }],
	});
	const manager =
		"type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
	t.doesNotThrow(() => encodeEnvoyResource(listener({ "@type": manager, stat_prefix: "x" })));
	t.throws(() => encodeEnvoyResource(listener({ "@type": manager, stat_prefix: "x", colour: 1 })), {
		message: /colour/,
	});
	t.throws(() => encodeEnvoyResource(listener({ "@type": manager, stream_idle_timeout: 5 })), { code: "internal" });
});

t.test("both bootstraps of the compiler can be encoded, and a type outside proto/ is refused", async (t) => {
	t.doesNotThrow(() => checkBootstrap(staticBootstrap(PLAN, options)));
	t.doesNotThrow(() => checkBootstrap(dynamicBootstrap("/ads", options)));
	t.throws(() => checkBootstrap({ ...dynamicBootstrap("/ads", options), colour: 1 }), { message: /colour/ });
});

t.test("references of a resource are found inside matchers and filters", async (t) => {
	const [listener, routes] = [PLAN.listeners[0], PLAN.routes[0]];
	if (listener === undefined || routes === undefined) throw new Error("the plan has both");
	t.match(encodeResource("listeners", listener), { name: "edge", source: "Gateway edge", routeConfigs: ["weir/edge"] });
	t.match(encodeResource("routes", routes), { name: "weir/edge", source: "Gateway edge", clusters: ["a/v1", "a/v2"] });
	const route = {
		"@type": "type.googleapis.com/envoy.config.route.v3.Route",
		name: "weir|0123456789abcdef|ns/a|ns/e",
		match: { prefix: "/" },
		route: { cluster: "ns/a/v7" },
	};
	const matched = encodeResource("routes", {
		"@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
		name: "weir/ns/edge",
		virtual_hosts: [
			{ name: "ns/a", domains: ["a"], matcher: { on_no_match: { action: { name: "r", typed_config: route } } } },
		],
	});
	t.same(matched.clusters, ["ns/a/v7"]);
	t.equal(matched.source, "Gateway ns/edge");
	t.same(
		matched.parts.map(({ source }) => source),
		["Service ns/a", "Experiment ns/e", "Service ns/a"],
	);
});

t.test("a name is found in an error message as a whole word only", async (t) => {
	const words = "Error adding/updating cluster(s) a/v10: bad, ns/b/v1: worse.";
	t.ok(mentions(words, "a/v10"));
	t.notOk(mentions(words, "a/v1"));
	t.ok(mentions(words, "ns/b/v1"));
	t.notOk(mentions(words, "b/v1"));
});
