/** The protocol by rule id (controlplane reference section 1), and make-before-break, without any network. */
import t from "tap";
import type { EnvoyResources } from "../../src/compiler/plan.js";
import type { Response } from "../../src/xds/channel.js";
import type { TypeName } from "../../src/xds/resource.js";
import { RecentViews } from "../../src/xds/sentViews.js";
import { type Snapshot, SnapshotMaker } from "../../src/xds/snapshot.js";
import { ClientStream } from "../../src/xds/stream.js";
import { type TinyService, tinyPlan } from "./tinyPlan.js";

const TIMEOUT_MS = 5_000;

const A: TinyService = { host: "a", variants: { v1: 1001, v2: 1002 }, weights: { v1: 9, v2: 1 } };
const B: TinyService = { host: "b", variants: { v1: 2001 }, weights: { v1: 1 } };

const snapshot = (services: Record<string, TinyService>, revision = 1): Snapshot =>
	new SnapshotMaker().make(tinyPlan({ gatewayPort: 8080, services }), revision);

/** Says what it is told and keeps what it gets: an Envoy's part of the conversation, at a clock of its own. */
class Script {
	readonly stream: ClientStream;
	readonly received: Response[] = [];
	nowMs = 0;
	#last = new Map<TypeName, Response>();
	#names = new Map<TypeName, readonly string[]>();

	constructor(
		public target: Snapshot,
		readonly views = new RecentViews(100),
	) {
		this.stream = new ClientStream(TIMEOUT_MS, views);
	}

	/** @returns the responses that the request brought, as `type:name,name`. */
	ask(type: TypeName, names: readonly string[], more: { nonce?: string; version?: string; error?: string } = {}): string[] {
		this.#names.set(type, names);
		this.stream.take({
			type,
			names,
			version: more.version ?? "",
			nonce: more.nonce ?? this.#last.get(type)?.nonce ?? "",
			error: more.error ?? null,
		});
		return this.pump();
	}

	ack(type: TypeName, names = this.#names.get(type) ?? []): string[] {
		return this.ask(type, names, { version: this.#last.get(type)?.version ?? "" });
	}

	nack(type: TypeName, error: string): string[] {
		return this.ask(type, this.#names.get(type) ?? [], { error });
	}

	publish(target: Snapshot): string[] {
		this.target = target;
		return this.pump();
	}

	pump(): string[] {
		const responses = this.stream.next(this.target, this.nowMs);
		for (const response of responses) this.#last.set(response.type, response);
		this.received.push(...responses);
		return responses.map(({ type, resources }) => `${type}:${resources.map(({ name }) => name).join(",")}`);
	}

	/** ACKs everything, as an Envoy that finds nothing wrong does, until the server says no more. */
	agree(responses: readonly string[]): string[] {
		const heard = [...responses];
		for (let pending = heard; pending.length > 0; ) {
			pending = pending.flatMap((said) => this.ack(said.split(":")[0] as TypeName));
			heard.push(...pending);
		}
		return heard;
	}

	/** Everything that an Envoy asks for when it starts. */
	start(eds: readonly string[] = ["a/v1", "a/v2"]): string[] {
		const heard = this.agree(this.ask("clusters", []));
		heard.push(...this.agree(this.ask("endpoints", eds)));
		heard.push(...this.agree(this.ask("listeners", [])));
		heard.push(...this.agree(this.ask("routes", ["weir/edge"])));
		return heard;
	}

	status(type: TypeName) {
		return this.stream.status(this.target)[type];
	}
}

t.test("an Envoy that starts gets clusters, endpoints, listeners and routes, each once, and is synced at the end", async (t) => {
	const envoy = new Script(snapshot({ a: A }));
	t.notOk(envoy.stream.synced(envoy.target));
	t.same(envoy.start(), ["clusters:a/v1,a/v2", "endpoints:a/v1,a/v2", "listeners:edge", "routes:weir/edge"]);
	t.ok(envoy.stream.synced(envoy.target));
	for (const type of ["clusters", "endpoints", "listeners", "routes"] as const) {
		t.match(envoy.status(type), { state: "SYNCED", sentVersion: envoy.target.versions[type], acceptedVersion: envoy.target.versions[type] });
	}
});

t.test("S3: a request with a stale nonce is not answered and changes nothing", async (t) => {
	const envoy = new Script(snapshot({ a: A, b: B }));
	envoy.agree(envoy.ask("clusters", ["a/v1"]));
	t.same(envoy.ask("clusters", ["a/v1", "b/v1"], { nonce: "stale" }), []);
	t.same(envoy.ask("clusters", ["a/v1", "b/v1"]), ["clusters:a/v1,b/v1"], "the same with the newest nonce is");
});

t.test("S3: the nonce of another type is stale", async (t) => {
	const envoy = new Script(snapshot({ a: A }));
	envoy.ask("clusters", []);
	const nonce = envoy.received[0]?.nonce ?? "";
	envoy.ask("endpoints", ["a/v1"]);
	t.same(envoy.ask("endpoints", ["a/v1", "a/v2"], { nonce }), []);
});

t.test("S4, S6: an ACK is not answered, and equal content under a new revision is not sent", async (t) => {
	const envoy = new Script(snapshot({ a: A }));
	envoy.start();
	t.same(envoy.ack("clusters"), []);
	t.same(envoy.publish(snapshot({ a: A }, 2)), []);
	t.ok(envoy.stream.synced(envoy.target));
});

t.test("S5: a type waits for its own ACK only, and gets the newest, not the queue", async (t) => {
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

t.test("N1: error_detail makes a NACK though the version is the newest; nothing is acknowledged", async (t) => {
	const envoy = new Script(snapshot({ a: A }));
	envoy.ask("clusters", []);
	const { version, nonce } = envoy.received[0] ?? { version: "", nonce: "" };
	envoy.ask("clusters", [], { version, nonce, error: "no" });
	t.match(envoy.status("clusters"), { state: "ERROR", error: "no", acceptedVersion: "" });
});

t.test("N2: rejected routes are kept back until they change; the last good stays and unrelated news go on", async (t) => {
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

t.test("N2: a rejected resource that goes back to the last good content is said to the client once", async (t) => {
	const good = snapshot({ a: A });
	const envoy = new Script(good);
	envoy.start();
	envoy.publish(snapshot({ a: { ...A, regex: "*" } }, 2));
	envoy.nack("routes", "no");
	t.same(envoy.agree(envoy.publish(snapshot({ a: A }, 3))), ["routes:weir/edge"]);
	t.ok(envoy.stream.synced(envoy.target));
});

t.test("a rejected new cluster: its routes wait, the other service goes on, the client is left with a clean list", async (t) => {
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

t.test("N3: a NACK that carries a new list is processed for both", async (t) => {
	const envoy = new Script(snapshot({ a: A, b: B }));
	envoy.ask("endpoints", ["a/v1"]);
	t.same(envoy.ask("endpoints", ["a/v1", "b/v1"], { error: "bad port" }), ["endpoints:b/v1"]);
	t.equal(envoy.status("endpoints").error, "bad port");
});

t.test("N4: names added at one nonce are answered, each once", async (t) => {
	const envoy = new Script(snapshot({ a: A, b: B }));
	t.same(envoy.ask("endpoints", ["a/v1"]), ["endpoints:a/v1"]);
	t.same(envoy.ask("endpoints", ["a/v1", "a/v2"]), ["endpoints:a/v2"]);
	t.same(envoy.ask("endpoints", ["a/v1", "a/v2", "b/v1"]), ["endpoints:b/v1"]);
	t.same(envoy.ack("endpoints"), []);
});

t.test("W1: an empty list is everything until a name was said, then nothing", async (t) => {
	const envoy = new Script(snapshot({ a: A, b: B }));
	t.same(envoy.ask("clusters", []), ["clusters:a/v1,a/v2,b/v1"]);
	envoy.ack("clusters");
	t.same(envoy.ask("clusters", ["b/v1"]), ["clusters:b/v1"]);
	envoy.ack("clusters");
	t.same(envoy.ask("clusters", []), []);
	t.same(envoy.publish(snapshot({ a: { ...A, connectTimeout: "2s" }, b: { ...B, connectTimeout: "2s" } }, 2)), []);
	t.same(envoy.ask("clusters", ["*"]), ["clusters:a/v1,a/v2,b/v1"], "the star brings it back");
});

t.test("W2: the star with a name stays wildcard, the name alone drops it", async (t) => {
	const envoy = new Script(snapshot({ a: A }));
	envoy.ask("clusters", []);
	envoy.ack("clusters");
	t.same(envoy.ask("clusters", ["*", "a/v1"]), ["clusters:a/v1,a/v2"]);
	envoy.ack("clusters");
	envoy.ask("clusters", ["a/v1"]);
	t.same(envoy.agree(envoy.publish(snapshot({ a: A, b: B }, 2))), [], "b/v1 is none of its business");
});

t.test("W6: a name that is given up and taken again is answered though nothing changed", async (t) => {
	const envoy = new Script(snapshot({ a: A }));
	envoy.agree(envoy.ask("endpoints", ["a/v1", "a/v2"]));
	t.same(envoy.ask("endpoints", ["a/v1"]), []);
	t.same(envoy.ask("endpoints", ["a/v1", "a/v2"]), ["endpoints:a/v2"]);
	envoy.ack("endpoints");
	envoy.agree(envoy.ask("clusters", ["a/v1", "a/v2"]));
	envoy.ask("clusters", ["a/v1"]);
	t.same(envoy.ask("clusters", ["a/v1", "a/v2"]), ["clusters:a/v1,a/v2", "endpoints:a/v2"]);
});

t.test("W7, G3: a name that does not exist gets silence, and its resource when it comes; an empty name too", async (t) => {
	const envoy = new Script(snapshot({ a: A }));
	t.same(envoy.ask("endpoints", ["b/v1", ""]), []);
	t.same(envoy.ask("clusters", ["b/v1", ""]), []);
	t.same(envoy.publish(snapshot({ a: A, b: B }, 2)), ["clusters:b/v1", "endpoints:b/v1"]);
});

t.test("G1: clusters and listeners are sent whole, endpoints and routes by what changed", async (t) => {
	const envoy = new Script(snapshot({ a: A }));
	envoy.start();
	const moved = { ...A, variants: { v1: 1001, v2: 1009 } };
	t.same(envoy.agree(envoy.publish(snapshot({ a: moved }, 2))), ["endpoints:a/v2"]);
	const [first] = envoy.agree(envoy.publish(snapshot({ a: { ...moved, connectTimeout: "2s" } }, 3)));
	t.equal(first, "clusters:a/v1,a/v2");
});

t.test("G1: an empty snapshot empties a wildcard, and a first wildcard is answered even with nothing", async (t) => {
	const nothing = new SnapshotMaker().make({ clusters: [], endpoints: [], listeners: [], routes: [] }, 1);
	const envoy = new Script(nothing);
	t.same(envoy.ask("clusters", []), ["clusters:"]);
	t.same(envoy.ack("clusters"), []);
});

t.test("O1: new clusters and their endpoints are acknowledged before the routes that name them; removals come last", async (t) => {
	const envoy = new Script(snapshot({ a: A }));
	envoy.start();
	const moved: TinyService = { host: "a", variants: { v3: 1003 }, weights: { v3: 1 } };
	const next = snapshot({ a: moved }, 2);
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
});

t.test("O1: clusters that rejected routes would have freed are kept", async (t) => {
	const envoy = new Script(snapshot({ a: A }));
	envoy.start();
	envoy.publish(snapshot({ a: { host: "a", variants: { v1: 1001 }, weights: { v1: 1 }, regex: "*" } }, 2));
	t.same(envoy.received.at(-1)?.type, "routes");
	t.same(envoy.nack("routes", "no"), []);
	t.match(envoy.received.filter(({ type }) => type === "clusters").length, 1, "a/v2 was never taken away");
});

t.test("O2: right after a changed cluster its endpoints are sent again: Envoy ACKs the cluster only when they came", async (t) => {
	const envoy = new Script(snapshot({ a: A, b: B }));
	envoy.start(["a/v1", "a/v2", "b/v1"]);
	const next = snapshot({ a: A, b: { ...B, connectTimeout: "2s" } }, 2);
	t.same(envoy.publish(next), ["clusters:a/v1,a/v2,b/v1", "endpoints:b/v1"]);
	t.same(envoy.ack("endpoints"), []);
	t.same(envoy.ack("clusters"), []);
	t.ok(envoy.stream.synced(next));
});

t.test("a client that never answers holds others up for the timeout only, and does not count as synced", async (t) => {
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
	t.equal(envoy.stream.status(next).clusters.state, "STALE");
	envoy.nack("clusters", "Error adding/updating cluster(s) a/v3: late");
	t.equal(envoy.status("clusters").state, "ERROR", "a late NACK still counts");
});

t.test("of several endpoints that are rejected together the bad one is found, the others arrive", async (t) => {
	const envoy = new Script(snapshot({ a: A, b: B }));
	t.same(envoy.ask("endpoints", ["a/v1", "a/v2", "b/v1"]), ["endpoints:a/v1,a/v2,b/v1"]);
	t.same(envoy.nack("endpoints", "malformed"), ["endpoints:a/v1"]);
	t.same(envoy.ack("endpoints"), ["endpoints:a/v2"]);
	t.same(envoy.nack("endpoints", "malformed"), ["endpoints:b/v1"]);
	t.same(envoy.ack("endpoints"), []);
	t.match(envoy.status("endpoints"), { state: "ERROR", source: "Service a" });
});

t.test("G-1: a first list that is rejected whole is not sent again, and is not emptied for a client that has state", async (t) => {
	const fresh = new Script(snapshot({ a: A }));
	fresh.ask("clusters", []);
	t.same(fresh.nack("clusters", "cannot parse"), []);
	t.same(fresh.publish(snapshot({ a: A }, 2)), []);
	const returning = new Script(snapshot({ a: A }));
	returning.ask("clusters", [], { version: "of-another-server" });
	t.same(returning.nack("clusters", "cannot parse"), []);
	t.equal(returning.received.length, 1);
});

t.test("reconnect: all state is sent again, and clusters that the client's routes need stay until it has new ones", async (t) => {
	const views = new RecentViews(100);
	const before = snapshot({ a: A });
	new Script(before, views).start();
	const moved: TinyService = { host: "a", variants: { v3: 1003 }, weights: { v3: 1 } };
	const envoy = new Script(snapshot({ a: moved }, 2), views);
	t.same(envoy.ask("clusters", [], { version: before.versions.clusters }), ["clusters:a/v1,a/v2,a/v3"]);
	envoy.ask("endpoints", ["a/v1", "a/v2"], { version: before.versions.endpoints });
	t.same(envoy.ask("listeners", [], { version: before.versions.listeners }), [], "its table waits for a/v3");
	t.same(envoy.ask("routes", ["weir/edge"], { version: before.versions.routes }), []);
	envoy.ack("clusters");
	t.same(envoy.agree(envoy.ask("endpoints", ["a/v1", "a/v2", "a/v3"])), [
		"endpoints:a/v3",
		"listeners:edge",
		"routes:weir/edge",
		"clusters:a/v3",
	]);
});

t.test("a listener whose route table is not there is no snapshot; nor is a route to nowhere or a name twice", async (t) => {
	const whole = tinyPlan({ gatewayPort: 8080, services: { a: A } });
	const make = (change: Partial<EnvoyResources>) => () => new SnapshotMaker().make({ ...whole, ...change }, 1);
	t.throws(make({ routes: [] }), { code: "failed-precondition", message: /listener edge names route configuration weir\/edge, which/ });
	t.throws(make({ clusters: [] }), { message: /weir\/edge names cluster a\/v1, which does not exist/ });
	t.throws(make({ endpoints: [] }), { message: /cluster a\/v1 has no endpoints resource a\/v1/ });
	t.throws(make({ listeners: [...whole.listeners, ...whole.listeners] }), { message: /two listeners named edge/ });
});

t.test("versions are of content: the order of keys, resources and makers does not matter", async (t) => {
	const reversed = (value: unknown): unknown =>
		Array.isArray(value)
			? value.map(reversed)
			: typeof value === "object" && value !== null
				? Object.fromEntries(Object.entries(value).reverse().map(([key, inner]) => [key, reversed(inner)]))
				: value;
	const plan = tinyPlan({ gatewayPort: 8080, services: { a: A, b: B } });
	const other = { ...(reversed(plan) as EnvoyResources), clusters: [...plan.clusters].reverse() };
	t.same(new SnapshotMaker().make(other, 7).versions, new SnapshotMaker().make(plan, 1).versions);
	t.not(snapshot({ a: { ...A, weights: { v1: 8, v2: 2 } } }).versions.routes, snapshot({ a: A }).versions.routes);
});
