/** Configurations of filters: when they are sent beside the listener and the routes of their Gateway. */
import t from "tap";
import { XDS_LEAVING_MS } from "../../src/limits.js";
import { RecentViews } from "../../src/xds/sentViews.js";
import { GatewayViews, type Snapshot, SnapshotMaker } from "../../src/xds/snapshot.js";
import { A, AMPLE, Script, TIMEOUT_MS } from "./script.js";
import { FILTER, published, tinyPlan } from "./tinyPlan.js";

const made = (claimHeaders: readonly string[], weight: number, revision: number, gatewayPort = 8080): Snapshot =>
	new SnapshotMaker().make(
		published(tinyPlan({ gatewayPort, services: { a: { ...A, weights: { v1: weight, v2: 1 } } }, claimHeaders })),
		revision,
	);
const without = new SnapshotMaker().make(published(tinyPlan({ gatewayPort: 8080, services: { a: A } })), 1);
const FIRST = made(["x-a"], 1, 2);

/** An Envoy with the filter. */
function begun(views = new RecentViews(AMPLE)): Script {
	const envoy = new Script(FIRST, views);
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

t.test("where no listener has such a filter none is waited for, or told of", async (t) => {
	const envoy = new Script(without);
	envoy.start();
	t.ok(envoy.stream.synced(without));
	t.notOk("extensions" in envoy.stream.status(without));
});

t.test("routes that come with more headers come after it", async (t) => {
	const envoy = begun();
	const next = made(["x-a", "x-b"], 2, 3);
	t.same(envoy.publish(next), [`extensions:${FILTER}`]);
	t.same(envoy.ack("extensions"), ["routes:weir/edge"]);
	envoy.ack("routes");
	t.ok(envoy.stream.synced(next));
});

t.test("a header goes when the routes are there", async (t) => {
	const envoy = begun();
	const next = made(["x-b"], 2, 3);
	t.same(envoy.publish(next), ["routes:weir/edge"]);
	t.same(envoy.pump(), [], "they are on their way");
	t.notOk(envoy.stream.synced(next));
	t.same(envoy.ack("routes"), [`extensions:${FILTER}`]);
	envoy.ack("extensions");
	t.ok(envoy.stream.synced(next));
	t.same(envoy.publish(made([], 2, 4)), [`extensions:${FILTER}`], "at once where the routes are the same");
});

t.test(
	"and for as long as routes are there in a moment: there may be a key in it that is to be believed no more",
	async (t) => {
		const envoy = begun();
		envoy.publish(made(["x-b"], 2, 3));
		t.same(envoy.publish(made(["x-b"], 3, 4)), [], "the routes are on their way");
		t.same(envoy.ack("routes"), ["routes:weir/edge"]);
		t.equal(envoy.stream.deadlineMs(envoy.nowMs), XDS_LEAVING_MS);
		envoy.nowMs = XDS_LEAVING_MS;
		t.same(envoy.pump(), [`extensions:${FILTER}`], "newer ones again and again");
		envoy.ack("extensions");
		envoy.ack("routes");
		const other = made(["x-c"], 4, 5);
		t.same(envoy.publish(other), ["routes:weir/edge"], "the next one waits again");
		t.same(envoy.ack("routes"), [`extensions:${FILTER}`]);
	},
);

t.test("routes do not wait for ever behind filters that change again and again", async (t) => {
	const envoy = begun();
	const headers = ["x-a"];
	const sent: string[] = [];
	for (let revision = 3; sent.length === 0 && envoy.nowMs < 60_000; revision++) {
		envoy.nowMs += 500;
		headers.push(`x-${revision}`);
		envoy.target = made([...headers], 9, revision);
		const said = revision === 3 ? envoy.pump() : envoy.ack("extensions");
		sent.push(...said.filter((one) => one.startsWith("routes")));
	}
	t.same(sent, ["routes:weir/edge"]);
	t.equal(envoy.nowMs, 2_500, "two seconds after they might have gone");
});

t.test("nor behind one that is not answered, and each waits anew", async (t) => {
	const envoy = begun();
	t.same(envoy.publish(made(["x-a", "x-b"], 9, 3)), [`extensions:${FILTER}`]);
	t.equal(envoy.stream.deadlineMs(envoy.nowMs), XDS_LEAVING_MS);
	envoy.nowMs = XDS_LEAVING_MS;
	t.same(envoy.pump(), ["routes:weir/edge"]);
	const other = begun();
	other.publish(made(["x-a", "x-b"], 9, 3));
	other.publish(made(["x-a"], 1, 4));
	t.same(other.agree(other.ack("extensions")), [`extensions:${FILTER}`], "taken back: the routes are as before");
	other.nowMs = 10_000;
	t.same(other.publish(made(["x-a", "x-c"], 9, 5)), [`extensions:${FILTER}`]);
	t.equal(other.stream.deadlineMs(other.nowMs), other.nowMs + XDS_LEAVING_MS);
});

t.test("a listener goes behind a filter, which Envoy may refuse it for, and not for ever", async (t) => {
	const next = made(["x-a", "x-b"], 1, 3, 8081);
	const taken = begun();
	t.same(taken.publish(next), [`extensions:${FILTER}`]);
	t.same(taken.ack("extensions"), ["listeners:edge"]);
	const refused = begun();
	refused.publish(next);
	t.same(refused.nack("extensions", "cannot be read"), [`extensions:${FILTER}`], "what it has");
	t.same(refused.ack("extensions"), ["listeners:edge"]);
	const later = begun();
	later.publish(made(["x-a", "x-b"], 9, 3));
	later.nowMs = XDS_LEAVING_MS / 2;
	later.publish(made(["x-a", "x-b"], 9, 4, 8081));
	later.nowMs = XDS_LEAVING_MS;
	t.same(later.pump(), ["listeners:edge"], "before its routes, whose time has come");
	t.same(later.ack("listeners"), ["routes:weir/edge"]);
	const silent = begun();
	silent.publish(next);
	t.equal(silent.stream.deadlineMs(silent.nowMs), XDS_LEAVING_MS);
	silent.nowMs = XDS_LEAVING_MS;
	t.same(silent.pump(), ["listeners:edge"]);
	silent.target = made(["x-a", "x-b"], 1, 4, 8082);
	t.same(silent.ack("listeners"), [], "the next one waits again");
	silent.nowMs += XDS_LEAVING_MS;
	t.same(silent.pump(), ["listeners:edge"]);
	silent.nack("listeners", "edge: its filter cannot be read");
	t.equal(silent.status("listeners").state, "ERROR");
	t.same(silent.agree(silent.ack("extensions")), ["listeners:edge"], "and is tried again when its filter is taken");
	t.ok(silent.stream.synced(silent.target));
});

t.test("routes that cannot be sent are not waited for", async (t) => {
	const envoy = begun();
	const services = { a: { ...A, variants: { v9: 1009 }, weights: { v9: 1 } } };
	const next = new SnapshotMaker().make(published(tinyPlan({ gatewayPort: 8080, services, claimHeaders: [] })), 3);
	t.same(envoy.publish(next), ["clusters:a/v1,a/v2,a/v9"], "they wait for a/v9");
	t.same(envoy.nack("clusters", "a/v9: no"), ["clusters:a/v1,a/v2", `extensions:${FILTER}`]);
});

t.test("a filter that comes to a Gateway: routes wait for it, and not for ever", async (t) => {
	for (const comes of [true, false]) {
		const envoy = new Script(without);
		envoy.start();
		t.same(envoy.publish(made(["x-a"], 1, 2)), ["listeners:edge"]);
		t.same(envoy.ack("listeners"), []);
		if (comes) {
			t.same(envoy.ask("extensions", [FILTER]), [`extensions:${FILTER}`]);
			t.same(envoy.ack("extensions"), ["routes:weir/edge"]);
			continue;
		}
		t.equal(envoy.stream.deadlineMs(envoy.nowMs), TIMEOUT_MS);
		envoy.nowMs += TIMEOUT_MS;
		t.same(envoy.pump(), ["routes:weir/edge"]);
	}
});

t.test("one that is refused stays as it was, and holds up nothing", async (t) => {
	const envoy = begun();
	const next = made(["x-a", "x-b"], 2, 3);
	envoy.publish(next);
	const good = FIRST.views.extensions.get(FILTER)?.hash;
	t.same(
		envoy.nack("extensions", "cannot be read"),
		[`extensions:${FILTER}`],
		"what it has, or it takes the other for known",
	);
	t.equal(envoy.received.at(-1)?.resources[0]?.hash, good);
	t.same(envoy.ack("extensions"), ["routes:weir/edge"]);
	envoy.ack("routes");
	t.notOk(envoy.stream.synced(next));
	t.ok(envoy.stream.syncedBut(next, new Set([FILTER])));
	t.match(envoy.stream.refusals(next), [{ type: "extensions", name: FILTER, source: "Gateway edge" }]);
	const fresh = new Script(without);
	fresh.start();
	fresh.publish(next);
	fresh.ack("listeners");
	fresh.ask("extensions", [FILTER]);
	t.same(fresh.nack("extensions", "cannot be read"), [`extensions:${FILTER}`], "what stands until one comes");
	t.not(fresh.received.at(-1)?.resources[0]?.hash, next.views.extensions.get(FILTER)?.hash);
	t.same(fresh.nack("extensions", "nor can that"), ["routes:weir/edge"], "nothing more is said of it");
	t.same(fresh.ack("routes"), []);
	t.equal(fresh.status("extensions").error, "cannot be read");
	t.same(fresh.ask("extensions", []), [], "it goes with its Gateway");
	t.same(fresh.ask("extensions", [FILTER]), [`extensions:${FILTER}`], "and is tried anew when that comes again");
	const old = new Script(without);
	old.start();
	old.publish(next);
	t.same(
		old.agree(old.nack("listeners", "edge: no")),
		["listeners:edge", "routes:weir/edge"],
		"nor one of a refused one",
	);
});

t.test("one that it refused is told of on the next stream too, where nobody heard it", async (t) => {
	const views = new RecentViews(AMPLE);
	const cut = begun(views);
	const { version: acked = "" } = cut.received.findLast(({ type }) => type === "extensions") ?? {};
	const next = made(["x-b"], 1, 3);
	t.same(cut.publish(next), [`extensions:${FILTER}`]);
	const anew = new Script(next, views);
	t.same(anew.ask("extensions", [FILTER], { version: acked }), [`extensions:${FILTER}`]);
	const hash = () => anew.received.at(-1)?.resources[0]?.hash;
	t.equal(hash(), FIRST.views.extensions.get(FILTER)?.hash, "what it has");
	t.same(anew.ack("extensions"), [`extensions:${FILTER}`]);
	t.equal(hash(), next.views.extensions.get(FILTER)?.hash);
	anew.nack("extensions", "cannot be read");
	t.equal(anew.status("extensions").error, "cannot be read");
});

t.test("an Envoy of other Gateways gets none", async (t) => {
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
