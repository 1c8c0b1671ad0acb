/** The order of responses, so that no request meets a missing cluster; and which snapshots may be published. */

import t from "tap";
import type { EnvoyResources } from "../../../src/compile/plan/compiledPlan.js";
import { XDS_LEAVING_MS } from "../../../src/limits/index.js";
import { SnapshotMaker } from "../../../src/publish/xds/snapshot.js";
import { XDS_RESTART_WAIT_MS } from "../../../src/publish/xds/stream.js";
import { A, B, comesBack, KEEPS_CLUSTERS, MOVED, Script, snapshot, TIMEOUT_MS } from "./script.js";
import { published, type TinyService, tinyPlan } from "./tinyPlan.js";

t.test("after a rejected new cluster its routes wait, and the client gets a list without it", async (t) => {
	const envoy = new Script(snapshot({ a: A, b: B }));
	envoy.start(["a/v1", "a/v2", "b/v1"]);
	const withBad: TinyService = { ...B, variants: { v1: 2001, v9: 2009 }, weights: { v1: 1, v9: 1 } };
	t.same(envoy.publish(snapshot({ a: A, b: withBad }, 2)), ["clusters:a/v1,a/v2,b/v1,b/v9"]);
	t.same(envoy.nack("clusters", "Error adding/updating cluster(s) b/v9: bad"), ["clusters:a/v1,a/v2,b/v1"]);
	t.same(envoy.ack("clusters"), [], "the route table that names b/v9 is not sent");
	t.match(envoy.status("clusters"), { state: "ERROR", source: "Service b" });
	t.equal(envoy.status("routes").state, "STALE");
	envoy.nowMs += TIMEOUT_MS * 3;
	t.same(envoy.pump(), [], "not after any time either");
	const ramp = snapshot({ a: { ...A, weights: { v1: 1, v2: 9 } }, b: B }, 3);
	t.same(envoy.agree(envoy.publish(ramp)), ["routes:weir/edge"]);
	t.ok(envoy.stream.synced(ramp));
});

t.test(
	"new clusters and their endpoints are acknowledged before the routes that name them; removals come last",
	async (t) => {
		const envoy = new Script(snapshot({ a: A }));
		envoy.start();
		const next = snapshot({ a: MOVED }, 2);
		t.same(envoy.publish(next), ["clusters:a/v1,a/v2,a/v3"], "the union: old routes still name v1 and v2");
		t.same(envoy.ack("clusters"), [], "the endpoints are not known yet");
		t.same(envoy.ask("endpoints", ["a/v1", "a/v2", "a/v3"]), ["endpoints:a/v3"]);
		t.same(envoy.ack("endpoints"), ["routes:weir/edge"]);
		t.notOk(envoy.stream.synced(next));
		t.same(envoy.ack("routes"), ["clusters:a/v3"]);
		t.notOk(envoy.stream.synced(next), "the removal is part of it");
		t.same(envoy.ack("clusters"), []);
		envoy.ask("endpoints", ["a/v3"]);
		t.ok(envoy.stream.synced(next));
	},
);

t.test("clusters are kept while routes without them are rejected", async (t) => {
	const envoy = new Script(snapshot({ a: A }));
	envoy.start();
	envoy.publish(snapshot({ a: { host: "a", variants: { v1: 1001 }, weights: { v1: 1 }, regex: "*" } }, 2));
	t.same(envoy.received.at(-1)?.type, "routes");
	t.same(envoy.nack("routes", "no"), []);
	t.match(envoy.received.filter(({ type }) => type === "clusters").length, 1, "a/v2 was never removed");
});

t.test("a changed cluster's endpoints are sent right after it: Envoy ACKs the cluster only with them", async (t) => {
	const envoy = new Script(snapshot({ a: A, b: B }));
	envoy.start(["a/v1", "a/v2", "b/v1"]);
	const next = snapshot({ a: A, b: { ...B, connectTimeout: "2s" } }, 2);
	t.same(envoy.publish(next), ["clusters:a/v1,a/v2,b/v1", "endpoints:b/v1"]);
	t.same(envoy.ack("endpoints"), []);
	t.same(envoy.ack("clusters"), []);
	t.ok(envoy.stream.synced(next));
});

t.test("a client that never answers delays the others for the timeout only, and is not synced", async (t) => {
	const envoy = new Script(snapshot({ a: A }));
	envoy.start();
	const next = snapshot({ a: { ...A, variants: { ...A.variants, v3: 1003 }, weights: { v3: 1 } } }, 2);
	t.same(envoy.publish(next), ["clusters:a/v1,a/v2,a/v3"]);
	envoy.nowMs = TIMEOUT_MS - 1;
	t.same(envoy.pump(), []);
	t.equal(envoy.stream.deadlineMs(envoy.nowMs), TIMEOUT_MS);
	envoy.nowMs = TIMEOUT_MS;
	t.same(envoy.pump(), ["routes:weir/edge"], "assumed");
	t.notOk(envoy.stream.synced(next));
	t.equal(envoy.status("clusters").state, "STALE");
	envoy.nack("clusters", "Error adding/updating cluster(s) a/v3: late");
	t.equal(envoy.status("clusters").state, "ERROR", "a late NACK still counts");
});

t.test("the last endpoints of a cluster are removed when no route uses it", async (t) => {
	const envoy = new Script(snapshot({ a: A, b: B }));
	envoy.start(["a/v1", "a/v2", "b/v1"]);
	const empty = { v1: 1001, v2: 0 };
	const left = snapshot({ a: { ...A, variants: empty, weights: { v1: 1 } }, b: B }, 2);
	t.same(envoy.publish(left), ["routes:weir/edge"]);
	t.notOk(envoy.stream.synced(left));
	t.same(envoy.ack("routes"), ["endpoints:a/v2"]);
	envoy.ack("endpoints");
	t.ok(envoy.stream.synced(left));
	t.same(envoy.agree(envoy.publish(snapshot({ a: A, b: B }, 3))), ["endpoints:a/v2", "routes:weir/edge"]);
	t.same(
		envoy.publish(snapshot({ a: { ...A, variants: empty }, b: B }, 4)),
		["endpoints:a/v2"],
		"if the routes stay, no client waits for them",
	);
	envoy.ack("endpoints");
	envoy.agree(envoy.publish(snapshot({ a: A, b: B }, 5)));
	t.same(envoy.publish(snapshot({ a: { ...A, variants: empty, weights: { v1: 2 } }, b: B }, 6)), ["routes:weir/edge"]);
	envoy.nowMs += XDS_LEAVING_MS - 1;
	t.same(envoy.pump(), []);
	envoy.nowMs += 1;
	t.same(envoy.pump(), ["endpoints:a/v2"], "the wait is bounded if no client answers");
	envoy.ack("routes");
	envoy.ack("endpoints");
	envoy.agree(envoy.publish(snapshot({ a: A, b: B }, 7)));
	const given: TinyService = { ...B, variants: { v1: 1002 } };
	t.same(envoy.publish(snapshot({ a: { ...A, variants: empty, weights: { v1: 1 } }, b: given }, 8)), [
		"endpoints:b/v1",
		"routes:weir/edge",
	]);
});

t.test(
	"a route table that waits for new clusters again and again is sent with the changes of the others",
	async (t) => {
		const envoy = new Script(snapshot({ a: A, b: B }));
		envoy.start(["a/v1", "a/v2", "b/v1"]);
		const sent: string[] = [];
		for (let revision = 2; envoy.nowMs < 3 * TIMEOUT_MS; revision++) {
			const fresh: TinyService = { host: "c", variants: { [`v${revision}`]: 3001 }, weights: { [`v${revision}`]: 1 } };
			envoy.publish(snapshot({ a: { ...A, weights: { v1: 1, v2: revision } }, b: B, c: fresh }, revision));
			sent.push(...envoy.pump());
			// The previous cluster is warm by now, and the newest one is not.
			const before = envoy.received.filter(({ type }) => type === "routes").length;
			envoy.nowMs += TIMEOUT_MS / 5;
			envoy.pump();
			envoy.ack("clusters");
			if (envoy.received.filter(({ type }) => type === "routes").length > before) {
				sent.push(`routes at ${envoy.nowMs}`);
				envoy.ack("routes");
			}
		}
		t.ok(sent.filter((one) => one.startsWith("routes")).length >= 2, sent.join("; "));
	},
);

t.test(
	"reconnect: all state is sent again, and clusters that the client's routes need stay until it has new ones",
	async (t) => {
		t.same(comesBack(snapshot({ a: A })), KEEPS_CLUSTERS);
	},
);

t.test("a client of an earlier process keeps unknown clusters until its routes no longer need them", async (t) => {
	const version = "of a process before";
	const back = (services: Parameters<typeof snapshot>[0]) => {
		const envoy = new Script(snapshot(services, 2));
		t.same(envoy.ask("clusters", [], { version }), []);
		envoy.ask("endpoints", ["a/v1", "a/v2"], { version });
		const sent = envoy.agree([
			...envoy.ask("listeners", [], { version }),
			...envoy.ask("routes", ["weir/edge"], { version }),
		]);
		envoy.nowMs += XDS_RESTART_WAIT_MS - 1;
		t.same(envoy.pump(), []);
		t.equal(envoy.stream.deadlineMs(envoy.nowMs), XDS_RESTART_WAIT_MS);
		envoy.nowMs += 1;
		return [sent, envoy.pump()];
	};
	const removed: TinyService = { ...A, variants: { v1: 1001 }, weights: { v1: 1 } };
	t.same(back({ a: removed }), [["listeners:edge", "routes:weir/edge"], ["clusters:a/v1"]], "a Variant was removed");
	t.same(back({ a: MOVED }), [[], ["clusters:a/v3"]], "a new cluster is still sent before its routes");
});

t.test("an Envoy that reconnects while clusters warm gets its routes after the clusters", async (t) => {
	const before = snapshot({ a: A });
	const next = snapshot({ a: { ...A, variants: { ...A.variants, v3: 1003 }, weights: { v3: 1 } } }, 2);
	const { endpoints, listeners, routes } = before.versions;
	// It subscribes in its first order: to routes before endpoints if Services came later than its Gateway.
	for (const late of [false, true]) {
		const gone = new Script(before);
		gone.start();
		const envoy = new Script(next, gone);
		const asksEndpoints = () => envoy.ask("endpoints", ["a/v1", "a/v2", "a/v3"], { version: endpoints });
		if (!late) asksEndpoints();
		envoy.ask("listeners", [], { version: listeners });
		t.same(envoy.ask("routes", ["weir/edge"], { version: routes }), [], "they name a/v3");
		if (late) asksEndpoints();
		t.same(envoy.ask("clusters", [], { version: before.versions.clusters })[0], "clusters:a/v1,a/v2,a/v3");
		envoy.ack("endpoints");
		t.ok(envoy.ack("clusters").includes("routes:weir/edge"));
	}
});

t.test("a client that gets its clusters elsewhere does not wait for clusters", async (t) => {
	const client = new Script(snapshot({ a: A }));
	t.same(client.ask("routes", ["weir/edge"]), ["routes:weir/edge"]);
	const again = new Script(snapshot({ a: A }));
	t.same(
		again.ask("routes", ["weir/edge"], { version: "of-another-server" }),
		["routes:weir/edge"],
		"nor when it comes back",
	);
});

t.test("clusters that a killed server sent without endpoints get an empty list first", async (t) => {
	const before = snapshot({ a: A });
	const gone = new Script(before);
	gone.start();
	const moved: TinyService = { host: "a", variants: { v4: 1004 }, weights: { v4: 1 } };
	const back = (version: string) => {
		const envoy = new Script(snapshot({ a: moved }, 3), gone);
		// It has accepted a list with a/v3 from a stopped server, and has no endpoints of a/v3.
		envoy.ask("clusters", [], { version: "of that server" });
		return { envoy, sent: envoy.ask("endpoints", ["a/v1", "a/v2", "a/v3"], { version }) };
	};
	const { envoy, sent } = back(before.versions.endpoints);
	t.same(sent, ["endpoints:a/v3,a/v1,a/v2"]);
	const [none] = envoy.received.at(-1)?.resources ?? [];
	t.match(none, { name: "a/v3", hosts: [] });
	t.same(back("of that server").sent, [], "if its endpoints are unknown too, no endpoints are sent");
});

t.test("a snapshot with a missing route table, a missing cluster or a repeated name is refused", async (t) => {
	const whole = tinyPlan({ gatewayPort: 8080, services: { a: A } });
	const make = (change: Partial<EnvoyResources>) => () =>
		new SnapshotMaker().make(published({ ...whole, ...change }), 1);
	t.throws(make({ routes: [] }), {
		code: "failed-precondition",
		message: /listener edge names route configuration weir\/edge, which/,
	});
	t.throws(make({ clusters: [] }), { message: /weir\/edge names cluster a\/v1, which does not exist/ });
	t.throws(make({ endpoints: [] }), { message: /cluster a\/v1 has no endpoints resource a\/v1/ });
	t.throws(make({ listeners: [...whole.listeners, ...whole.listeners] }), { message: /two listeners named edge/ });
});

t.test("a version depends on content only, not on the order of keys, resources and producers", async (t) => {
	const reversed = (value: unknown): unknown =>
		Array.isArray(value)
			? value.map(reversed)
			: typeof value === "object" && value !== null
				? Object.fromEntries(
						Object.entries(value)
							.reverse()
							.map(([key, inner]) => [key, reversed(inner)]),
					)
				: value;
	const plan = tinyPlan({ gatewayPort: 8080, services: { a: A, b: B } });
	const other = { ...(reversed(plan) as EnvoyResources), clusters: [...plan.clusters].reverse() };
	t.same(new SnapshotMaker().make(published(other), 7).versions, new SnapshotMaker().make(published(plan), 1).versions);
	t.not(snapshot({ a: { ...A, weights: { v1: 8, v2: 2 } } }).versions.routes, snapshot({ a: A }).versions.routes);
});
