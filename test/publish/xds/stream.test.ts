/** The rules of the xDS protocol (Envoy's docs, "xDS protocol"), without any network. */

import t from "tap";
import { SnapshotMaker } from "../../../src/publish/xds/snapshot.js";
import { XDS_RESTART_WAIT_MS } from "../../../src/publish/xds/stream.js";
import { A, B, Script, snapshot } from "./script.js";
import { published } from "./tinyPlan.js";

t.test(
	"an Envoy that starts gets clusters, endpoints, listeners and routes, each once, and is synced at the end",
	async (t) => {
		const envoy = new Script(snapshot({ a: A }));
		t.notOk(envoy.stream.synced(envoy.target));
		t.same(envoy.start(), ["clusters:a/v1,a/v2", "endpoints:a/v1,a/v2", "listeners:edge", "routes:weir/edge"]);
		t.ok(envoy.stream.synced(envoy.target));
		for (const type of ["clusters", "endpoints", "listeners", "routes"] as const) {
			t.match(envoy.status(type), {
				state: "SYNCED",
				sentVersion: envoy.target.versions[type],
				acceptedVersion: envoy.target.versions[type],
			});
		}
	},
);

t.test("a request with a stale nonce is not answered and changes nothing", async (t) => {
	const envoy = new Script(snapshot({ a: A, b: B }));
	envoy.agree(envoy.ask("clusters", ["a/v1"]));
	t.same(envoy.ask("clusters", ["a/v1", "b/v1"], { nonce: "stale" }), []);
	t.same(envoy.ask("clusters", ["a/v1", "b/v1"]), ["clusters:a/v1,b/v1"], "the same with the newest nonce is");
});

t.test("the nonce of another type is stale", async (t) => {
	const envoy = new Script(snapshot({ a: A }));
	envoy.ask("clusters", []);
	const nonce = envoy.received[0]?.nonce ?? "";
	envoy.ask("endpoints", ["a/v1"]);
	t.same(envoy.ask("endpoints", ["a/v1", "a/v2"], { nonce }), []);
});

t.test("an ACK is not answered, and equal content under a new revision is not sent", async (t) => {
	const envoy = new Script(snapshot({ a: A }));
	envoy.start();
	t.same(envoy.ack("clusters"), []);
	t.same(envoy.publish(snapshot({ a: A }, 2)), []);
	t.ok(envoy.stream.synced(envoy.target));
});

t.test("a type waits only for its own ACK, and then gets the newest version alone", async (t) => {
	const envoy = new Script(snapshot({ a: A }));
	envoy.start();
	t.same(envoy.publish(snapshot({ a: { ...A, weights: { v1: 8, v2: 2 } } }, 2)), ["routes:weir/edge"]);
	t.same(envoy.publish(snapshot({ a: { ...A, weights: { v1: 7, v2: 3 } } }, 3)), [], "one is in flight");
	const newest = snapshot({ a: { ...A, weights: { v1: 6, v2: 4 } } }, 4);
	t.same(envoy.publish(newest), []);
	t.same(envoy.ack("routes"), ["routes:weir/edge"]);
	t.equal(envoy.received.at(-1)?.version, newest.versions.routes);
	t.same(envoy.ack("routes"), []);
});

t.test("error_detail makes a NACK though the version is the newest; nothing is acknowledged", async (t) => {
	const envoy = new Script(snapshot({ a: A }));
	envoy.ask("clusters", []);
	const { version, nonce } = envoy.received[0] ?? { version: "", nonce: "" };
	envoy.ask("clusters", [], { version, nonce, error: "no" });
	t.match(envoy.status("clusters"), { state: "ERROR", error: "no", acceptedVersion: "" });
});

t.test("rejected routes are held back until they change; the last good stays, other changes go on", async (t) => {
	const good = snapshot({ a: A, b: B });
	const envoy = new Script(good);
	envoy.start(["a/v1", "a/v2", "b/v1"]);
	const bad = snapshot({ a: A, b: { ...B, regex: "*" } }, 2);
	t.same(envoy.publish(bad), ["routes:weir/edge"]);
	t.same(envoy.nack("routes", "no argument for repetition operator: *"), []);
	t.same(envoy.publish(snapshot({ a: A, b: { ...B, regex: "*" } }, 3)), [], "the same content is not sent again");
	t.match(envoy.status("routes"), {
		state: "ERROR",
		error: "no argument for repetition operator: *",
		source: "Service b",
		acceptedVersion: good.versions.routes,
	});
	t.notOk(envoy.stream.synced(envoy.target));
	const more = { a: { ...A, connectTimeout: "2s" }, b: { ...B, regex: "*" } };
	t.same(envoy.agree(envoy.publish(snapshot(more, 4))), ["clusters:a/v1,a/v2,b/v1", "endpoints:a/v1,a/v2"]);
	t.same(envoy.agree(envoy.publish(snapshot({ a: A, b: { ...B, regex: "x" } }, 5))), [
		"clusters:a/v1,a/v2,b/v1",
		"endpoints:a/v1,a/v2",
		"routes:weir/edge",
	]);
	t.ok(envoy.stream.synced(envoy.target));
	t.equal(envoy.status("routes").state, "SYNCED");
});

t.test("a rejected resource that returns to its last good content is sent to the client once", async (t) => {
	const good = snapshot({ a: A });
	const envoy = new Script(good);
	envoy.start();
	envoy.publish(snapshot({ a: { ...A, regex: "*" } }, 2));
	envoy.nack("routes", "no");
	t.same(envoy.agree(envoy.publish(snapshot({ a: A }, 3))), ["routes:weir/edge"]);
	t.ok(envoy.stream.synced(envoy.target));
});

t.test("a NACK that carries a new list is processed for both", async (t) => {
	const envoy = new Script(snapshot({ a: A, b: B }));
	envoy.ask("endpoints", ["a/v1"]);
	t.same(envoy.ask("endpoints", ["a/v1", "b/v1"], { error: "bad port" }), ["endpoints:b/v1"]);
	t.equal(envoy.status("endpoints").error, "bad port");
});

t.test("names added at one nonce are answered, each once", async (t) => {
	const envoy = new Script(snapshot({ a: A, b: B }));
	t.same(envoy.ask("endpoints", ["a/v1"]), ["endpoints:a/v1"]);
	t.same(envoy.ask("endpoints", ["a/v1", "a/v2"]), ["endpoints:a/v2"]);
	t.same(envoy.ask("endpoints", ["a/v1", "a/v2", "b/v1"]), ["endpoints:b/v1"]);
	t.same(envoy.ack("endpoints"), []);
});

t.test("an empty list subscribes to everything; after a first name it subscribes to nothing", async (t) => {
	const envoy = new Script(snapshot({ a: A, b: B }));
	t.same(envoy.ask("clusters", []), ["clusters:a/v1,a/v2,b/v1"]);
	envoy.ack("clusters");
	t.same(envoy.ask("clusters", ["b/v1"]), ["clusters:b/v1"]);
	envoy.ack("clusters");
	t.same(envoy.ask("clusters", []), []);
	t.same(envoy.publish(snapshot({ a: { ...A, connectTimeout: "2s" }, b: { ...B, connectTimeout: "2s" } }, 2)), []);
	t.same(envoy.ask("clusters", ["*"]), ["clusters:a/v1,a/v2,b/v1"], "the star brings it back");
});

t.test("the star with a name stays wildcard, the name alone drops it", async (t) => {
	const envoy = new Script(snapshot({ a: A }));
	envoy.ask("clusters", []);
	envoy.ack("clusters");
	t.same(envoy.ask("clusters", ["*", "a/v1"]), ["clusters:a/v1,a/v2"]);
	envoy.ack("clusters");
	envoy.ask("clusters", ["a/v1"]);
	t.same(envoy.agree(envoy.publish(snapshot({ a: A, b: B }, 2))), [], "it did not subscribe to b/v1");
});

t.test("a name that is unsubscribed and subscribed again is answered though nothing changed", async (t) => {
	const envoy = new Script(snapshot({ a: A }));
	envoy.agree(envoy.ask("endpoints", ["a/v1", "a/v2"]));
	t.same(envoy.ask("endpoints", ["a/v1"]), []);
	t.same(envoy.ask("endpoints", ["a/v1", "a/v2"]), ["endpoints:a/v2"]);
	envoy.ack("endpoints");
	envoy.agree(envoy.ask("clusters", ["a/v1", "a/v2"]));
	envoy.ask("clusters", ["a/v1"]);
	t.same(envoy.ask("clusters", ["a/v1", "a/v2"]), ["clusters:a/v1,a/v2", "endpoints:a/v2"]);
});

t.test("an unknown name gets no response until its resource exists; so does an empty name", async (t) => {
	const envoy = new Script(snapshot({ a: A }));
	t.same(envoy.ask("endpoints", ["b/v1", ""]), []);
	t.same(envoy.ask("clusters", ["b/v1", ""]), []);
	t.same(envoy.publish(snapshot({ a: A, b: B }, 2)), ["clusters:b/v1", "endpoints:b/v1"]);
});

t.test("clusters and listeners are sent whole; of endpoints and routes only changes are sent", async (t) => {
	const envoy = new Script(snapshot({ a: A }));
	envoy.start();
	const moved = { ...A, variants: { v1: 1001, v2: 1009 } };
	t.same(envoy.agree(envoy.publish(snapshot({ a: moved }, 2))), ["endpoints:a/v2"]);
	const [first] = envoy.agree(envoy.publish(snapshot({ a: { ...moved, connectTimeout: "2s" } }, 3)));
	t.equal(first, "clusters:a/v1,a/v2");
});

t.test("a wildcard gets an empty snapshot, and its first request is answered even without resources", async (t) => {
	const nothing = new SnapshotMaker().make(
		published({ clusters: [], endpoints: [], extensions: [], listeners: [], routes: [] }),
		1,
	);
	const envoy = new Script(nothing);
	t.same(envoy.ask("clusters", []), ["clusters:"]);
	t.same(envoy.ack("clusters"), []);
});

t.test("if endpoints are rejected together, the rejected one is found and the others arrive", async (t) => {
	const envoy = new Script(snapshot({ a: A, b: B }));
	t.same(envoy.ask("endpoints", ["a/v1", "a/v2", "b/v1"]), ["endpoints:a/v1,a/v2,b/v1"]);
	t.same(envoy.nack("endpoints", "malformed"), ["endpoints:a/v1"]);
	t.same(envoy.ack("endpoints"), ["endpoints:a/v2"]);
	t.same(envoy.nack("endpoints", "malformed"), ["endpoints:b/v1"]);
	t.same(envoy.ack("endpoints"), []);
	t.match(envoy.status("endpoints"), { state: "ERROR", source: "Service a" });
});

t.test("a first list that is rejected whole is neither sent again nor emptied for a client with state", async (t) => {
	const fresh = new Script(snapshot({ a: A }));
	fresh.ask("clusters", []);
	t.same(fresh.nack("clusters", "cannot parse"), []);
	t.same(fresh.publish(snapshot({ a: A }, 2)), []);
	const returning = new Script(snapshot({ a: A }));
	returning.ask("clusters", [], { version: "of-another-server" });
	returning.nowMs = XDS_RESTART_WAIT_MS;
	returning.pump();
	t.same(returning.nack("clusters", "cannot parse"), []);
	t.equal(returning.received.length, 1);
});
