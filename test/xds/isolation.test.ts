/** Who is closed where a client refuses what is published: deterministic, bounded, and nobody but the guilty in the end. */
import t from "tap";
import { XDS_TRIALS_MAX } from "../../src/limits.js";
import { Isolation } from "../../src/xds/isolation.js";
import type { Refused } from "../../src/xds/refused.js";
import { type Client, type Declared, isBad, play, publication, scene } from "./isolationScene.js";

const GOOD: Declared = { a: "1", "b/x": "1", "b/y": "1", "c/x": "1" };

t.test(
	"the namespace that the words name is closed at the first trial, what of it did not change is served",
	async (t) => {
		const { publish, isolation } = scene();
		t.same(publish(GOOD), { closed: [], trials: [[]], revision: isolation.rested?.revision });
		const { closed, trials, revision } = publish({ ...GOOD, a: "2", "b/x": "bad", "c/x": "2" });
		t.same(trials, [[], ["b/x"], ["b/x"]], "whole, closed, and that stays");
		t.same(closed, ["b/x"]);
		t.same(isolation.rested, { revision, closed: ["b/x"] });
		t.match(isolation.closed, [{ service: "b/x", why: "no: b/x", sinceMs: 7 }]);
		t.same([...isolation.mayBeClosed], ["b/x"]);
	},
);

t.test("what was closed for a trial may be until something else is taken", async (t) => {
	const { publish, isolation, declared } = scene(false);
	publish(GOOD);
	const bad = { ...GOOD, a: "2", "b/x": "bad" };
	const made = publication(bad);
	declared.set(made, bad);
	isolation.offer(made);
	t.same(isolation.target?.closed.size, 0);
	t.same([...isolation.mayBeClosed], []);
	const no = [{ type: "routes", source: "Gateway edge", words: "no" }];
	isolation.refuse(no, { nowMs: 7, all: false });
	const first = [...(isolation.target?.closed ?? [])];
	t.ok(first.length > 0);
	t.strictSame([...isolation.mayBeClosed], first);
	play(isolation, declared, { names: false, trials: [] });
	t.same([...isolation.mayBeClosed], ["b/x"], "in the end the guilty alone");
	publish({ ...GOOD, a: "2", "b/x": "2" });
	t.same([...isolation.mayBeClosed], []);
	t.same([...new Isolation(isolation.memory).mayBeClosed], []);
	publish(bad);
	t.same([...new Isolation(isolation.memory).mayBeClosed], ["b/x"], "one that comes back");
});

t.test("where the words name nobody, halves of what changed are tried", async (t) => {
	const many = Object.fromEntries(Array.from({ length: 100 }, (_, at) => [`n${at}/x`, "1"]));
	const changed = Object.fromEntries(Object.keys(many).map((name) => [name, "2"]));
	for (const guilty of ["n0/x", "n41/x", "n99/x"]) {
		const { publish } = scene(false);
		publish(many);
		const { closed, trials } = publish({ ...changed, [guilty]: "bad" });
		t.same(closed, [guilty]);
		t.ok(trials.length <= 1 + Math.ceil(Math.log2(100)) + 3, `${trials.length} configurations`);
		const again = scene(false);
		again.publish(many);
		t.same(again.publish({ ...changed, [guilty]: "bad" }).trials, trials, "the same each time");
	}
	const { publish } = scene(false);
	publish(GOOD);
	const alone = publish({ ...GOOD, "c/x": "bad" });
	t.same(alone.trials, [[], ["c/x"], ["c/x"]], "who alone has changed is closed at once");
});

t.test("of any guilty ones all are closed and no other, in bounded trials", async (t) => {
	const names = Array.from({ length: 40 }, (_, at) => `n${String(at).padStart(2, "0")}/x`);
	const before = Object.fromEntries(names.map((name) => [name, "1"]));
	for (let seed = 1; seed <= 200; seed++) {
		const guilty = names.filter((_, at) => (seed * 7919 + at * 104_729) % 41 < 1 + (seed % 3));
		const { publish, rest } = scene(seed % 2 === 0);
		publish(before);
		const { closed, trials } = publish(
			Object.fromEntries(names.map((name) => [name, guilty.includes(name) ? "bad" : "2"])),
		);
		t.ok(trials.length <= XDS_TRIALS_MAX + 3, `${trials.length} trials`);
		t.ok(
			guilty.every((one) => closed?.includes(one)),
			"at the bound more is closed, never less",
		);
		t.same(rest().closed, guilty);
	}
});

t.test("a guilty namespace that changes is published closed first, then tried whole", async (t) => {
	const { publish, isolation } = scene();
	publish(GOOD);
	publish({ ...GOOD, "b/x": "bad 1" });
	const other = publish({ ...GOOD, a: "2", "b/x": "bad 1" });
	t.same(other.trials, [["b/x"]], "another's change: it is not tried again");
	t.same(isolation.rested, { revision: other.revision, closed: ["b/x"] });
	const worse = publish({ ...GOOD, a: "3", "b/x": "bad 2", "b/y": "2" });
	t.same(worse.trials.slice(0, 2), [["b/x", "b/y"], []]);
	t.same(worse.closed, ["b/x", "b/y"], "all that the namespace changed");
	const back = publish({ ...GOOD, a: "3", "b/x": "1", "b/y": "2" });
	t.same(back.trials, [["b/y"], [], []], "what it took before is no change");
	t.same(back.closed, []);
	t.same(isolation.closed, []);
	publish({ ...GOOD, "b/y": "2", "b/x": "bad" }, { edge: "1" });
	t.same(
		publish({ ...GOOD, "b/y": "2", "b/x": "bad" }, { edge: "2" }).trials,
		[["b/x"], [], ["b/x"]],
		"another Gateway may help",
	);
	const gone = publish({ a: "3", "b/y": "2", "c/x": "bad" });
	t.same(gone.closed, ["c/x"]);
	t.same(publish({ a: "3", "b/y": "2" }).closed, [], "who is deleted is not closed");
});

t.test("a publication that mends one namespace and breaks another leaves the broken one alone closed", async (t) => {
	for (const named of [true, false]) {
		const { publish, rest, isolation } = scene(named);
		publish(GOOD);
		publish({ ...GOOD, a: "bad" });
		publish({ ...GOOD, a: "2", "b/x": "bad" });
		rest();
		t.same(
			isolation.closed.map(({ service }) => service),
			["b/x"],
		);
		t.same(publish({ ...GOOD, a: "2", "b/x": "2" }).closed, []);
	}
});

t.test("newer publications wait while one is searched on, so that a flood stops nobody's rules", async (t) => {
	const { publish, isolation, declared } = scene();
	publish(GOOD);
	publish({ ...GOOD, "b/x": "bad 0" });
	const client: Client = { names: true, trials: [] };
	let newest = 0;
	for (let flood = 1; flood <= 50; flood++) {
		const services = { ...GOOD, a: `${flood}`, "b/x": `bad ${flood}` };
		const made = publication(services);
		declared.set(made, services);
		isolation.offer(made);
		// One answer of the client for each change of the flood.
		const target = isolation.target;
		const bad = isBad(declared.get(target?.publication ?? made) ?? {}, target?.closed ?? new Set());
		if (bad.length > 0)
			isolation.refuse([{ type: "routes", source: "Service b/x", words: "no" }], { nowMs: 7, all: false });
		else isolation.take([], 7);
		const rested = isolation.rested?.revision ?? 0;
		t.ok(rested >= newest && made.revision - rested <= 3, `${made.revision - rested} behind`);
		newest = rested;
	}
	t.same(play(isolation, declared, client), ["b/x"]);
});

t.test(
	"where closing what changed does not help, all stays at the last good, and is not searched on again",
	async (t) => {
		const { publish, isolation } = scene();
		publish(GOOD);
		const rested = isolation.rested;
		const refuse = (words: string): boolean =>
			isolation.refuse([{ type: "routes", source: "Gateway edge", words }], { nowMs: 7, all: false });
		isolation.offer(publication({ ...GOOD, a: "2", "c/x": "2" }));
		let trials = 0;
		while (refuse("of the Gateway")) trials++;
		t.ok(trials <= 3, `${trials}`);
		t.same([isolation.searching, [...(isolation.target?.closed ?? [])]], [false, []]);
		t.same(isolation.rested, rested);
		isolation.offer(publication({ ...GOOD, a: "3", "c/x": "2" }));
		t.equal(refuse("of the Gateway"), false, "the same trouble closes nobody");
		t.equal(refuse("another"), true);
	},
);

t.test("a refused listener of a Gateway that changed closes no Service", async (t) => {
	const { publish, isolation } = scene();
	publish(GOOD, { edge: "1", evil: "1" });
	isolation.offer(publication({ ...GOOD, a: "2" }, { edge: "1", evil: "2" }));
	const refused = (source: string, type = "listeners"): Refused => ({ type, source, words: "no" });
	t.equal(isolation.ofGateway(refused("Gateway evil")), true);
	t.equal(isolation.ofGateway(refused("Gateway edge")), false);
	t.equal(
		isolation.ofGateway(refused("Gateway edge"), [refused("Gateway edge", "extensions")]),
		true,
		"as its filter is",
	);
	t.equal(isolation.ofGateway(refused("Gateway edge"), [refused("Gateway two", "extensions")]), false);
	t.equal(isolation.ofGateway(refused("Gateway evil", "routes")), false);
	const rested = isolation.rested;
	t.equal(isolation.take(["Gateway evil"], 7), false);
	t.same(isolation.rested, rested, "which is no acknowledgement of all");
	isolation.offer(publication({ ...GOOD, a: "2" }, { edge: "1", evil: "2" }));
	t.equal(isolation.ofGateway(refused("Gateway evil")), true, "as long as it stands");
});

t.test("a Gateway that is refused is no reason to try again who is closed, as long as it is", async (t) => {
	const { publish, isolation } = scene();
	publish({ "a/x": "1", "b/y": "1" });
	t.same(publish({ "a/x": "bad", "b/y": "1" }).closed, ["a/x"]);
	let trials = 0;
	/** Refuses the listener of Gateway new, and a/x where it is open. */
	const settles = (gateways: Declared): boolean => {
		isolation.offer(publication({ "a/x": "bad", "b/y": "1" }, gateways));
		for (trials = 0; trials < 20; trials++) {
			const open = isolation.target?.closed.has("a/x") === false;
			const refused = [{ type: "routes", source: "Service a/x", words: "no: a/x" }];
			if (!(open ? isolation.refuse(refused, { nowMs: 7, all: false }) : isolation.take(["Gateway new"], 7)))
				return !open;
		}
		return false;
	};
	t.ok(settles({ new: "1" }));
	t.same(
		isolation.closed.map(({ service }) => service),
		["a/x"],
	);
	t.ok(settles({ new: "1", other: "1" }));
	t.ok(trials > 0, "another one that is taken may help");
});

t.test("who comes back is given what it took; of whom nothing is known nobody is closed but by name", async (t) => {
	const first = scene();
	first.publish(GOOD);
	first.publish({ ...GOOD, "b/x": "bad" });
	const services = { ...GOOD, "b/x": "bad", "c/x": "2" };
	const on = publication(services);
	const declared = new Map([[on, services]]);
	/** @returns what is closed in each trial */
	const back = (isolation: Isolation): readonly (readonly string[])[] => {
		const client: Client = { names: false, trials: [] };
		isolation.offer(on);
		play(isolation, declared, client);
		return client.trials;
	};
	t.same(back(new Isolation(first.isolation.memory)), [["b/x"]], "a stream that broke");
	t.same(back(new Isolation({ taken: null, closed: first.isolation.closed })), [["b/x"]], "xds was started again");
	t.same(back(new Isolation()).flat(), [], "it goes on with what it has");
	const isolation = new Isolation();
	isolation.offer(on);
	const named = { type: "clusters", source: "Service b/x", words: "no" };
	t.equal(isolation.refuse([named], { nowMs: 7, all: false }), true);
	t.same([...(isolation.target?.closed ?? [])], ["b/x", "b/y"], "all of that namespace, as what changed is not known");
	const fresh = new Isolation();
	fresh.offer(on);
	fresh.refuse([{ ...named, source: "Gateway edge" }], { nowMs: 7, all: true });
	t.same([...(fresh.target?.closed ?? [])], ["b/x", "b/y", "c/x"], "an Envoy that serves nothing yet: halves of all");
});
