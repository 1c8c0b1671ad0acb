/** Many guilty ones: the bound of a search closes innocents for a while only, and nobody is told another's words. */
import t from "tap";
import { XDS_SEARCH_PAUSE_MS, XDS_TRIALS_MAX, XDS_VARIANTS_MAX } from "../../src/limits.js";
import { Isolation } from "../../src/xds/isolation.js";
import { Publication } from "../../src/xds/publication.js";
import { SnapshotMaker } from "../../src/xds/snapshot.js";
import { type Client, type Declared, play, publication, scene } from "./isolationScene.js";
import { published, tinyPlan } from "./tinyPlan.js";

const named = (count: number): readonly string[] =>
	Array.from({ length: count }, (_, at) => `n${String(at).padStart(4, "0")}/x`);
const all = (names: readonly string[], form: string): Declared => Object.fromEntries(names.map((name) => [name, form]));
/** So many of the names, over all of them. */
const some = (names: readonly string[], count: number): readonly string[] =>
	names.filter((_, at) => Math.floor(((at + 1) * count) / names.length) > Math.floor((at * count) / names.length));

t.test("what a search could not prove at its bound is searched on, until the guilty alone are closed", async (t) => {
	for (const [count, culprits, names, fresh] of [
		[1_000, 5, false, false],
		[1_000, 8, false, true],
		[1_000, 60, true, false],
		[200, 6, false, true],
		[64, 9, false, false],
		[60, 45, true, true],
	] as const) {
		const label = `${culprits} of ${count}, named: ${names}, fresh: ${fresh}`;
		const services = named(count);
		const guilty = some(services, culprits);
		const { publish, rest, isolation } = scene(names, { fresh });
		if (!fresh) publish(all(services, "1"));
		const changed = { ...all(services, "2"), ...all(guilty, "bad") };
		const first = publish(changed);
		t.ok(
			guilty.every((one) => first.closed?.includes(one)),
			`${label}: none is frozen`,
		);
		t.ok(first.trials.length <= XDS_TRIALS_MAX + 3, `${label}: ${first.trials.length} trials`);
		t.equal(isolation.rested?.revision, first.revision, `${label}: the newest is taken at the bound`);
		const later = publish({ ...changed, "zz/x": "1" });
		t.same(
			[later.trials.length, isolation.rested?.revision],
			[1, later.revision],
			`${label}: a publication does not wait`,
		);
		const { closed, tookMs, trials } = rest();
		t.same(closed, guilty, label);
		t.ok(tookMs <= 20 * XDS_SEARCH_PAUSE_MS, `${label}: ${tookMs} ms of pauses`);
		if (names) t.ok(trials.length <= 3 * culprits, `${label}: ${trials.length} more trials`);
		t.ok(
			isolation.closed.every(({ form }) => form !== ""),
			`${label}: all are proved`,
		);
		const mended = publish({ ...changed, ...all(guilty, "2") });
		rest();
		t.same([mended.closed, isolation.closed], [[], []], `${label}: mended`);
	}
});

t.test("the guilty mend themselves before the search has come to the innocent: nobody stays closed", async (t) => {
	const services = named(64);
	const guilty = some(services, 9);
	const { publish, rest, isolation } = scene(false);
	publish(all(services, "1"));
	const first = publish({ ...all(services, "2"), ...all(guilty, "bad") });
	t.ok((first.closed?.length ?? 0) > guilty.length, "some are closed that are not guilty");
	publish(all(services, "2"));
	t.same(rest().closed, []);
	t.same(isolation.closed, []);
});

t.test(
	"after the last good for all, a publication with other changes is searched on, whatever the words",
	async (t) => {
		const services = named(60);
		const words = () => "the same for everybody";
		const { publish, isolation } = scene(true, { words });
		publish(all(services, "1"));
		const on = publication({ ...all(services, "1"), "n0000/x": "2" });
		isolation.offer(on);
		while (isolation.refuse([{ type: "routes", source: "Gateway edge", words: words() }], { nowMs: 7, all: false }));
		const { closed } = publish({ ...all(services, "1"), "n0000/x": "bad 2", "n0050/x": "revoked" });
		t.same(closed, ["n0000/x"]);
	},
);

t.test("a lie in the words closes nobody: whom they name is proved as anybody is", async (t) => {
	const services = named(100);
	const isolation = new Isolation();
	const good = publication(all(services, "1"));
	isolation.offer(good);
	isolation.take([], 7);
	isolation.offer(publication({ ...all(services, "2"), "n0077/x": "bad" }));
	let answers = 0;
	for (;;) {
		answers++;
		const bad = !isolation.target?.closed.has("n0077/x");
		const lie = [{ type: "routes", source: "Service n0003/x", words: "regex n0003/x" }];
		if (!(bad ? isolation.refuse(lie, { nowMs: 7, all: false }) : isolation.take([], 7))) break;
	}
	t.same(
		isolation.closed.map(({ service }) => service),
		["n0077/x"],
	);
	t.ok(answers <= 16, `${answers}`);
});

t.test("of a client of which nothing is known trials are bounded too", async (t) => {
	const services = named(100);
	const declared = new Map([[publication(all(services, "bad")), all(services, "bad")]]);
	const isolation = new Isolation();
	for (const on of declared.keys()) isolation.offer(on);
	const client: Client = { names: true, trials: [] };
	t.equal(play(isolation, declared, client), null);
	t.ok(client.trials.length <= XDS_TRIALS_MAX + 2, `${client.trials.length}`);
	t.same([...(isolation.target?.closed ?? [])], [], "all stays at the last good");
});

t.test("words are told to the namespace that they are of, and to nobody else", async (t) => {
	const services = named(6);
	const good = all(services, "1");
	const { publish, isolation, rest } = scene(false, { words: (name) => `regex of ${name}` });
	publish(good);
	publish({ ...good, "n0001/x": "bad", "n0004/x": "bad", "n0002/x": "2" });
	rest();
	const whys = () => isolation.closed.map(({ service, why }) => [service, why]);
	t.same(whys(), [
		["n0001/x", "regex of n0001/x"],
		["n0004/x", "regex of n0004/x"],
	]);
	const many = named(64);
	const crowd = scene(false, { words: (name) => `regex of ${name}` });
	crowd.publish(all(many, "1"));
	crowd.publish({ ...all(many, "2"), ...all(some(many, 9), "bad") });
	const told = crowd.isolation.closed.filter(({ why }) => /regex/.test(why));
	t.ok(told.length > 0 && told.length < crowd.isolation.closed.length);
	for (const { service, why } of told) t.equal(why, `regex of ${service}`);

	const isolated = new Isolation();
	isolated.offer(publication(good));
	isolated.take([], 7);
	isolated.offer(publication({ ...good, "n0001/x": "bad", "n0004/x": "bad" }));
	const words = "Error adding cluster(s) n0001/x/v1: secret, n0004/x/v1: another";
	for (;;) {
		const open = ["n0001/x", "n0004/x"].filter((one) => !isolated.target?.closed.has(one));
		const errors = open.map((name) => ({ type: "clusters", source: `Service ${name}`, words }));
		if (!(errors.length > 0 ? isolated.refuse(errors, { nowMs: 7, all: false }) : isolated.take([], 7))) break;
	}
	t.equal(isolated.closed.length, 2);
	for (const { why } of isolated.closed) t.notMatch(why, /secret|another:/);
});

t.test("another refused revision is told with its own words, the same one keeps them", async (t) => {
	let said = "first";
	const { publish, isolation } = scene(true, { words: () => said });
	publish({ "a/x": "1", "b/x": "1" });
	publish({ "a/x": "1", "b/x": "bad 1" });
	t.match(isolation.closed, [{ why: "first" }]);
	said = "second";
	publish({ "a/x": "2", "b/x": "bad 1" });
	t.match(isolation.closed, [{ why: "first" }]);
	publish({ "a/x": "2", "b/x": "bad 2" });
	t.match(isolation.closed, [{ why: "second" }]);
});

t.test("of the variants of a publication the youngest are kept, and no more than so many", async (t) => {
	const envoy = tinyPlan({ gatewayPort: 1, services: {} });
	let made = 0;
	const close = () => {
		made++;
		return envoy;
	};
	const on = new Publication(
		{ ...published(envoy), closable: { forms: () => new Map(), close } },
		1,
		new SnapshotMaker(),
	);
	for (let at = 0; at <= XDS_VARIANTS_MAX; at++) on.snapshot(new Set([`s${at}`]));
	t.equal(made, XDS_VARIANTS_MAX + 1);
	on.snapshot(new Set(["s1"]));
	t.equal(made, XDS_VARIANTS_MAX + 1, "kept");
	on.snapshot(new Set(["s0"]));
	t.equal(made, XDS_VARIANTS_MAX + 2, "the oldest is made anew");
});

t.test("all but those that were refused before are opened first", async (t) => {
	const services = named(64);
	const guilty = some(services, 9);
	const { publish, rest, isolation } = scene(false);
	publish(all(services, "1"));
	publish({ ...all(services, "2"), ...all(guilty, "bad") });
	const proved = isolation.closed.filter(({ form }) => form !== "").map(({ service }) => service);
	t.ok(proved.length > 1);
	publish({ ...all(services, "2"), ...all(proved, "bad again") });
	const { closed, trials } = rest();
	t.same(trials[0], proved);
	t.same(closed, proved);
});
