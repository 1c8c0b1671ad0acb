/** Isolation at a client that rejects resources: in the end only the rejected Services are closed. */
import t from "tap";
import { Isolation, XDS_NAMED_TRIALS_MAX } from "../../../src/publish/xds/isolation.js";
import { Publication } from "../../../src/publish/xds/publication.js";
import { SnapshotMaker } from "../../../src/publish/xds/snapshot.js";
import { published, tinyPlan } from "./tinyPlan.js";

/** Forms by Service; an Envoy refuses those that begin with `bad`. */
type Forms = Readonly<Record<string, string>>;

/** Whether Envoy names the Service that it refuses: cluster errors do, route errors do not. */
type Names = (service: string) => string;
const byCluster: Names = (service) => `Service ${service}`;
const byRoute: Names = () => "Gateway edge";

class Client {
	readonly #declared = new Map<Publication, Forms>();
	#revisions = 0;
	/** The closed Services in each configuration that it got. */
	given: (readonly string[])[] = [];

	constructor(
		readonly names: Names = byRoute,
		readonly isolation = new Isolation(),
		readonly isFresh = false,
	) {}

	offer(forms: Forms): void {
		const envoy = tinyPlan({ gatewayPort: 1, services: {} });
		const closable = { forms: () => new Map(Object.entries(forms)), close: () => envoy };
		const maker = new SnapshotMaker();
		const plan = { ...published(envoy), closable };
		const made = new Publication(plan, maker.make(plan, ++this.#revisions), maker);
		this.#declared.set(made, forms);
		this.isolation.offer(made);
	}

	/** Sends one answer. @returns whether it gets another configuration */
	answer(): boolean {
		const { target } = this.isolation;
		if (target === null) return false;
		const forms = this.#declared.get(target.publication) ?? {};
		this.given.push([...target.closed].sort());
		const bad = Object.keys(forms).find((name) => forms[name]?.startsWith("bad") && !target.closed.has(name));
		if (bad === undefined) return this.isolation.take(true);
		const refused = { source: this.names(bad), message: `no: ${bad}` };
		return this.isolation.refuse([refused], { nowMs: 7, isFresh: this.isFresh });
	}

	/** Publishes, and answers until nothing changes. @returns the closed Services */
	publish(forms: Forms): readonly string[] {
		this.given = [];
		this.offer(forms);
		for (let answers = 0; this.answer(); answers++) if (answers > 1_000) throw new Error("it goes round in circles");
		return this.isolation.closed.map(({ service }) => service).sort();
	}
}

const GOOD: Forms = { "a/x": "1", "b/x": "1", "b/y": "1", "c/x": "1" };
const many = (count: number, form: string): Record<string, string> =>
	Object.fromEntries(Array.from({ length: count }, (_, at) => [`n${at}/x`, form]));

t.test("only the Service that Envoy's error names is closed", async (t) => {
	const client = new Client(byCluster);
	t.same(client.publish(GOOD), []);
	t.same(client.publish({ ...GOOD, "a/x": "2", "b/x": "bad", "c/x": "2" }), ["b/x"]);
	t.same(client.given.slice(0, 2), [[], ["b/x"]], "no other was closed meanwhile");
	t.match(client.isolation.closed, [{ service: "b/x", why: "no: b/x", sinceMs: 7 }]);
	t.same(client.isolation.rested, { revision: 2, closed: ["b/x"] });
});

t.test("if the error names no Service, all changed ones are closed, and all but the bad ones reopened", async (t) => {
	const client = new Client();
	client.publish(GOOD);
	t.same(client.publish({ ...GOOD, "a/x": "2", "b/x": "bad", "c/x": "2" }), ["b/x"]);
	t.same(client.given.slice(0, 2), [[], ["a/x", "b/x", "c/x"]]);
	t.same(client.publish({ ...GOOD, "a/x": "2", "b/x": "bad", "c/x": "3" }), ["b/x"]);
	t.same(client.given, [["b/x"]], "a change of another Service does not retry a known rejection");
	const crowd = new Client();
	crowd.publish(many(1_000, "1"));
	const bad = { "n7/x": "bad", "n500/x": "bad", "n999/x": "bad" };
	t.same(crowd.publish({ ...many(1_000, "2"), ...bad }), Object.keys(bad).sort());
	t.ok(crowd.given.length < 3 * 2 * 10 + 5, `${crowd.given.length} configurations`);
});

t.test("a name in the error message proves nothing: its author may have written it", async (t) => {
	const client = new Client(() => "Service c/x");
	client.publish(GOOD);
	t.same(client.publish({ ...GOOD, "b/x": "bad", "c/x": "2" }), ["b/x"]);
	t.same(client.publish({ ...GOOD, "b/x": "bad 2" }), ["b/x"], "an unchanged Service is not closed for it");
	const worded = new Client(byCluster);
	worded.publish(many(60, "1"));
	t.same(worded.publish(many(60, "bad")).length, 60, "Envoy may name one at a time");
	t.ok(worded.given[XDS_NAMED_TRIALS_MAX + 1]?.length === 60);
});

t.test("a changed closed Service is tried again when the client has accepted the rest", async (t) => {
	const client = new Client();
	client.publish(GOOD);
	client.publish({ ...GOOD, "b/x": "bad 1" });
	t.same(client.publish({ ...GOOD, "a/x": "2", "b/x": "bad 2" }), ["b/x"]);
	t.same(client.given, [["b/x"], [], ["b/x"]]);
	// One answer for each change of a flood.
	for (let flood = 3; flood < 30; flood++) {
		client.offer({ ...GOOD, "a/x": `${flood}`, "b/x": `bad ${flood}` });
		client.answer();
		t.equal(client.isolation.rested?.revision, flood + 1, "rules of others are accepted");
	}
	t.same(client.publish({ ...GOOD, "b/x": "2" }), []);
	t.same(client.given, [["b/x"], []]);
	client.publish({ ...GOOD, "b/x": "bad" });
	t.same([client.publish({ ...GOOD, "b/x": "2" }), client.given.length], [[], 1], "it took that before");
	client.publish({ ...GOOD, "b/x": "bad" });
	t.same(client.publish({ "a/x": "1" }), [], "a deleted one is not closed");
});

t.test("if closing all changed Services does not help, the last good configuration stays", async (t) => {
	const client = new Client();
	const { isolation } = client;
	client.publish(GOOD);
	const { rested } = isolation;
	client.offer({ ...GOOD, "a/x": "2" });
	const refused = [{ source: "Gateway edge", message: "of the Gateway" }];
	let given = 0;
	while (isolation.refuse(refused, { nowMs: 7, isFresh: false })) given++;
	t.ok(given <= 2);
	t.same([isolation.closed, [...(isolation.target?.closed ?? [])], isolation.rested], [[], [], rested]);
});

t.test("a reconnected client gets what it accepted before; an unknown client keeps what it has", async (t) => {
	const first = new Client();
	first.publish(GOOD);
	const bad = { ...GOOD, "b/x": "bad" };
	first.publish(bad);
	const { memory } = first.isolation;
	const back = (isolation: Isolation, names = byRoute, isFresh = false) => {
		const client = new Client(names, isolation, isFresh);
		return [client.publish(bad), client.given];
	};
	t.same(back(new Isolation(memory)), [["b/x"], [["b/x"]]]);
	t.same(back(new Isolation({ accepted: null, closed: memory.closed })), [["b/x"], [["b/x"]]], "xds was started again");
	t.same(back(new Isolation()), [[], [[]]], "the last good configuration for all");
	t.same(back(new Isolation(), byCluster)[0], ["b/x"]);
	t.same(back(new Isolation(), byRoute, true)[0], ["b/x"], "one that serves nothing yet");
});
