/** The order of filter configurations, the listener and the routes of a Gateway. */
import t from "tap";
import { XDS_LEAVING_MS } from "../../../src/limits/index.js";
import { GatewayViews, type Snapshot, SnapshotMaker } from "../../../src/publish/xds/snapshot.js";
import { A, Script, TIMEOUT_MS } from "./script.js";
import { FILTER, published, tinyPlan } from "./tinyPlan.js";

const made = (claimHeaders: readonly string[], weight: number, revision: number, gatewayPort = 8080): Snapshot =>
	new SnapshotMaker().make(
		published(tinyPlan({ gatewayPort, services: { a: { ...A, weights: { v1: weight, v2: 1 } } }, claimHeaders })),
		revision,
	);
const without = new SnapshotMaker().make(published(tinyPlan({ gatewayPort: 8080, services: { a: A } })), 1);
const FIRST = made(["x-a"], 1, 2);

/** An Envoy with the filter. */
function begun(): Script {
	const envoy = new Script(FIRST);
	envoy.agree(envoy.ask("clusters", []));
	envoy.agree(envoy.ask("endpoints", ["a/v1", "a/v2"]));
	envoy.agree(envoy.ask("listeners", []));
	t.same(envoy.ask("routes", ["weir/edge"]), [], "its listener waits for the filter, and so may they");
	t.notOk(envoy.stream.synced(FIRST));
	t.equal(envoy.status("extensions").state, "NOT SENT");
	t.same(envoy.agree(envoy.ask("extensions", [FILTER])), [`extensions:${FILTER}`, "routes:weir/edge"]);
	t.ok(envoy.stream.synced(FIRST));
	t.equal(envoy.status("extensions").state, "SYNCED");
	return envoy;
}

t.test("without a listener that uses the filter, no filter configuration is awaited or sent", async (t) => {
	const envoy = new Script(without);
	envoy.start();
	t.ok(envoy.stream.synced(without));
	t.notOk("extensions" in envoy.stream.status(without));
});

t.test("routes that need more headers are sent after their filter", async (t) => {
	const envoy = begun();
	const next = made(["x-a", "x-b"], 2, 3);
	t.same(envoy.publish(next), [`extensions:${FILTER}`]);
	t.same(envoy.ack("extensions"), ["routes:weir/edge"]);
	envoy.ack("routes");
	t.ok(envoy.stream.synced(next));
});

t.test("a filter with fewer headers is sent after the routes, with a bounded wait", async (t) => {
	const envoy = begun();
	const next = made(["x-b"], 2, 3);
	t.same(envoy.publish(next), ["routes:weir/edge"]);
	t.same(envoy.ack("routes"), [`extensions:${FILTER}`]);
	envoy.ack("extensions");
	t.ok(envoy.stream.synced(next));
	t.same(envoy.publish(made([], 2, 4)), [`extensions:${FILTER}`], "at once if the routes are equal");
	const silent = begun();
	silent.publish(next);
	t.equal(silent.stream.deadlineMs(silent.nowMs), XDS_LEAVING_MS);
	silent.nowMs = XDS_LEAVING_MS;
	t.same(silent.pump(), [`extensions:${FILTER}`], "it may revoke a key");
});

t.test("a listener and its routes are sent after a pending filter", async (t) => {
	const next = made(["x-a", "x-b"], 2, 3, 8081);
	const envoy = begun();
	t.same(envoy.publish(next), [`extensions:${FILTER}`]);
	t.same(envoy.agree(envoy.ack("extensions")), ["listeners:edge", "routes:weir/edge"]);
	const silent = begun();
	silent.publish(next);
	silent.nowMs = TIMEOUT_MS;
	t.same(silent.pump(), ["listeners:edge"], "and the wait is bounded");
});

t.test("a refused filter keeps its last good configuration, and delays nothing", async (t) => {
	const envoy = begun();
	const next = made(["x-a", "x-b"], 2, 3);
	envoy.publish(next);
	t.same(envoy.nack("extensions", "cannot be read"), ["routes:weir/edge"]);
	envoy.ack("routes");
	t.notOk(envoy.stream.synced(next));
	t.ok(envoy.stream.syncedBut(next, new Set([FILTER])));
	t.match(envoy.stream.refusals(next), [{ type: "extensions", name: FILTER, source: "Gateway edge" }]);

	const { version = "" } = envoy.received.findLast(({ type }) => type === "routes") ?? {};
	const again = new Script(next, envoy);
	again.ask("routes", ["weir/edge"], { version });
	t.same(again.ask("extensions", [FILTER], { version: FIRST.versions.extensions }), []);
	t.equal(again.status("extensions").error, "cannot be read", "Envoy would acknowledge it unread on its next stream");
	t.same(again.publish(made(["x-a", "x-c"], 2, 4)), [`extensions:${FILTER}`]);
});

t.test("an Envoy of other Gateways gets no filter configuration", async (t) => {
	const views = new GatewayViews();
	t.same([...views.of(FIRST, ["edge"]).views.extensions.keys()], [FILTER]);
	const other = views.of(FIRST, ["ns/edge"]);
	t.equal(other.views.extensions.size, 0);
	t.not(other.versions.extensions, FIRST.versions.extensions);
});

t.test("a listener whose filter has no configuration is not published", async (t) => {
	const plan = tinyPlan({ gatewayPort: 8080, services: { a: A }, claimHeaders: [] });
	t.throws(() => new SnapshotMaker().make(published({ ...plan, extensions: [] }), 1), {
		code: "failed-precondition",
		message: `listener edge names filter ${FILTER}, whose configuration does not exist`,
	});
});
