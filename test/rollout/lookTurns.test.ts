/** At whom a tick of the loop looks, in which order, and for how long. */
import t from "tap";
import type { Experiment } from "../../src/resources/resource.js";
import { LookTurns } from "../../src/rollout/lookTurns.js";
import { experiment } from "./example.js";

const one = experiment();
const named = (namespace: string, name: string): Experiment => ({
	...one,
	metadata: { ...one.metadata, namespace, name },
});
const many = (namespace: string, count: number): Experiment[] =>
	Array.from({ length: count }, (_, at) => named(namespace, `${namespace}${at}`));

/** By a clock that looks alone move. */
function turnsOf(): { turns: LookTurns; looks: typeof looks } {
	let nowMs = 0;
	const turns = new LookTurns(() => nowMs);
	/** Names in the order in which a tick looks at them. */
	function looks(
		all: readonly Experiment[],
		milliseconds: number,
		takesMs: Record<string, number> = {},
		first: readonly string[] = [],
	) {
		const names: string[] = [];
		for (const { metadata } of turns.tick(all, milliseconds, new Set(first))) {
			names.push(metadata.name);
			nowMs += takesMs[metadata.namespace] ?? 0;
		}
		return names;
	}
	return { turns, looks };
}

t.test("a tick with enough time looks at each once, the namespaces in turn", async (t) => {
	const { turns, looks } = turnsOf();
	const all = [...many("a", 3), ...many("b", 1), ...many("c", 2)];
	t.same(looks(all, 1_000), ["a0", "b0", "c0", "a1", "c1", "a2"]);
	t.same(turns.left, []);
	t.equal(looks(all, 1_000).length, 6, "and the next one again");
});

t.test(
	"thousands of one namespace keep no other's: it is looked at in each tick, and they one after the other",
	async (t) => {
		const { turns, looks } = turnsOf();
		const all = [...many("crowd", 2_000), ...many("few", 1)];
		const crowd: string[] = [];
		for (let tick = 0; tick < 20; tick++) {
			const names = looks(all, 20, { crowd: 2, few: 2 });
			t.equal(names.length, 10);
			t.equal(names.indexOf("few0"), 1, "after one of the crowd");
			crowd.push(...names.filter((name) => name !== "few0"));
		}
		t.equal(crowd.length, 180);
		t.equal(new Set(crowd).size, 180, "nobody a second time before all were looked at");
		t.equal(turns.left.length, 2_000 - 9);
	},
);

t.test("each namespace has the same share of the time, and what another one leaves", async (t) => {
	const both = [...many("slow", 50), ...many("quick", 50)];
	const count = (names: readonly string[]) => names.filter((name) => name.startsWith("slow")).length;
	const names = turnsOf().looks(both, 40, { slow: 25, quick: 1 });
	t.equal(count(names), 1, "one look is its share, and more");
	t.equal(names.length, 21, "the other one has its own all the same");
	const others = Array.from({ length: 20 }, (_, at) => named(`n${at}`, "one"));
	t.equal(count(turnsOf().looks([...many("slow", 50), ...others], 100, { slow: 5 })), 20, "nobody else needs the rest");
});

t.test(
	"whom something waits for that soon is of no use comes first of its namespace, and takes no turn of another",
	async (t) => {
		const all = [...many("a", 4), ...many("b", 2)];
		const { turns, looks } = turnsOf();
		t.same(looks(all, 1_000, {}, ["a/a3", "a/a2", "c/none"]), ["a2", "b0", "a3", "b1", "a0", "a1"]);
		t.same(looks(all, 2, { a: 1, b: 1 }), ["a0", "b0"]);
		t.same(looks(all, 2, { a: 1, b: 1 }, ["a/a0"]), ["a0", "b1"], "in each tick");
		t.same(turns.left, ["a/a1", "a/a2", "a/a3", "b/b0"], "the others keep their turns");
	},
);

t.test("a tick is over after its time, and each namespace is looked at in it all the same", async (t) => {
	const all = ["a", "b", "c", "d"].flatMap((namespace) => many(namespace, 3));
	const { looks } = turnsOf();
	t.same(looks(all, 1, { a: 1, b: 1, c: 1, d: 1 }), ["a0", "b0", "c0", "d0"]);
	t.same(looks(all, 0), ["a1", "b1", "c1", "d1"]);
	t.same(looks(many("a", 3), 1_000), ["a2", "a0", "a1"], "who is not declared any more is not looked at");
});
