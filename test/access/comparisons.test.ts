/** What comparing rules takes of the room that there is, by what it costs; and that many paths are found as one by one. */
import fc from "fast-check";
import t from "tap";
import { prefixSegments, templateSegments, underPrefix } from "../../src/access/requests/path.js";
import { Room } from "../../src/access/review/comparisons.js";
import { covers, uncovered } from "../../src/access/review/coverage.js";
import { PathTree } from "../../src/access/review/pathTree.js";
import { accessTable } from "../../src/access/rules/table.js";
import type { PolicyTable } from "../../src/compiler/plan.js";
import type { AccessPolicy } from "../../src/resources/resource.js";
import { accessPolicy, service, variant } from "../fixtures/resources.js";

const shop = service("shop", [variant("v1", 1)], { access: null });
function policy(spec: Partial<AccessPolicy["spec"]>): PolicyTable {
	const [made] = accessTable(shop, [accessPolicy("p", "allow", ["shop"], spec)]).policies;
	if (made === undefined) throw new Error("no policy");
	return made;
}

t.test("room is taken until there is none, and what is smaller finds it still", async (t) => {
	const room = new Room(10);
	t.ok(room.take(6));
	t.notOk(room.take(5));
	t.ok(room.ranOut);
	t.notOk(room.isSpent);
	t.ok(room.take(4));
	t.notOk(room.take(1));
	t.ok(room.isSpent);
	t.ok(room.forOne().isSpent);
	t.notOk(room.forOne(1).isSpent);
	t.notOk(room.forOne().ranOut, "each has its own word");
	const one = room.forOne(250);
	t.ok(one.take(250), "and a little of its own");
	t.notOk(one.take(1));
	t.ok(one.ranOut);
	const [around, beside] = [new Room(10), new Room(0)];
	t.ok(around.forOne(250).take(200) && around.take(10), "of which nothing is taken from the others");
	const pieces = beside.forOne(250);
	t.ok(Array.from({ length: 250 }, () => pieces.take(1)).every(Boolean), "in whatever pieces");
	t.notOk(pieces.take(1));
});

t.test("what is made of a list is made once, by each who makes it, and paid once", async (t) => {
	const [list, room] = [["a"], new Room(8)];
	const count = { set: 0, text: 0 };
	const setOf = (of: readonly string[]) => {
		count.set++;
		return new Set(of);
	};
	const textOf = (of: readonly string[]) => {
		count.text++;
		return of.join();
	};
	const three = () => 3;
	t.same(room.forOne().onceFor(list, setOf, three), new Set(list));
	t.same(room.onceFor(list, setOf, three), new Set(list));
	t.equal(room.onceFor(list, textOf, three), "a", "another thing of the same list");
	t.equal(room.onceFor([...list], textOf, three), null, "no room for the same of another one");
	t.same(count, { set: 1, text: 1 });
	t.ok(room.take(2));
	t.notOk(room.take(1));
	t.same(new Room(3).onceFor(list, setOf, three), new Set(list));
	t.equal(count.set, 2, "for another change anew");
});

t.test("what says the same has the same number, however long it is and however many there are", async (t) => {
	const long = "x".repeat(40_000);
	const texts = [
		"",
		"a",
		"b",
		"1 a",
		long,
		`${long}a`,
		`${long}b`,
		`a${long}`,
		`b${long}`,
		long.slice(1),
		`${long}${long}`,
	];
	const middle = (piece: string) => `${long.slice(0, 16_000)}${piece}${long.slice(0, 32_000)}`;
	texts.push(middle("a"), middle("b"));
	const room = new Room(0);
	const numbers = texts.map((text) => room.forOne().memory.numberOf({ text }, (of) => of.text));
	t.equal(new Set(numbers).size, texts.length);
	t.same(
		texts.map((text) => room.memory.numberOf({ text }, (of) => of.text)),
		numbers,
	);
	const one = { text: "written once" };
	let written = 0;
	const text = (of: { readonly text: string }) => {
		written++;
		return of.text;
	};
	t.equal(room.memory.numberOf(one, text), room.forOne().memory.numberOf(one, text));
	t.equal(written, 1);
	const many = Array.from({ length: 3_000 }, (_, n) => ({ text: `${long.slice(0, 17_000)}${10_000 + n}` }));
	const from = process.cpuUsage();
	t.equal(new Set(many.map((one) => room.memory.numberOf(one, (of) => of.text))).size, 3_000);
	const { user } = process.cpuUsage(from);
	t.ok(user < 3_000_000, `${user} µs: each with each they are 76,000 MB`);
});

/** What it takes at least. */
function taken(wide: PolicyTable, narrow: PolicyTable): number {
	class Counting extends Room {
		count = 0;
		override take(lookups: number): boolean {
			this.count += lookups;
			return true;
		}
	}
	const room = new Counting();
	covers(wide, narrow, room);
	return room.count;
}

t.test("each entry and each segment is paid, and what is long by its length", async (t) => {
	const of = (many: number, text: (n: number) => string) => Array.from({ length: many }, (_, n) => text(n));
	const long = (n: number) => `spiffe://a/${"x".repeat(1_900)}${n}`;
	const deep = (n: number) => `spiffe://a/${"x/".repeat(900)}${n}`;
	const short = (n: number) => `spiffe://a/${n}`;
	const shorts = of(1_000, short);
	const [wide, narrow] = [policy({ principals: shorts }), policy({ principals: [...shorts] })];
	t.ok(taken(wide, narrow) >= 2_000, `${taken(wide, narrow)}: the list, and each that is looked up`);
	t.equal(taken(wide, policy({ principals: shorts })), 1, "the same list is not read");
	const longs = of(1_000, long);
	const byLength = taken(policy({ principals: longs }), policy({ principals: [...longs] }));
	t.ok(byLength >= 2 * 1_000 * 29, `${byLength}`);
	// Where one is for all below a long one, all that begin any id are looked up.
	const below = [...of(10, short), `spiffe://a/${"x/".repeat(900)}*`];
	const around = taken(policy({ principals: below }), policy({ principals: of(10, deep) }));
	t.ok(around >= 10 * 900 * 29 * 4, `${around}: made, and looked up`);
	const beside = taken(policy({ principals: of(10, short) }), policy({ principals: of(10, deep) }));
	t.ok(beside < 1_000, `${beside}: and where none is, none`);
	for (const field of ["users", "groups", "tenants", "purposes"] as const) {
		const [one, other] = [policy({ [field]: shorts }), policy({ [field]: [...shorts] })];
		t.ok(taken(one, other) >= 2_000, field);
	}
	const path = (n: number) => `${"/a".repeat(400)}/${n}`;
	for (const field of ["pathPrefixes", "pathTemplates"] as const) {
		const [one, other] = [policy({ [field]: of(100, path) }), policy({ [field]: of(100, path) })];
		t.ok(taken(one, other) >= 3 * 100 * 401, `${field}: ${taken(one, other)}`);
	}
	const claims = () => Array.from({ length: 1_000 }, (_, n) => ({ claim: `c${n}`, values: ["x"] }));
	t.ok(taken(policy({ claims: claims() }), policy({ claims: claims() })) >= 500_000, "each with each by its name");
	const schedule = { timezone: "UTC", days: [1], fromMinute: 0, untilMinute: 60 };
	t.ok(taken(policy({ schedule }), policy({ schedule: { ...schedule } })) >= 40);
});

t.test("where there is no room for it, nothing is said to be matched", async (t) => {
	const principals = Array.from({ length: 3_000 }, (_, n) => `spiffe://a/${n}`);
	const [wide, narrow] = [policy({ principals }), policy({ principals: principals.toReversed() })];
	t.same(uncovered(wide, narrow, new Room()), []);
	t.same(uncovered(wide, narrow, new Room(4_000)), ["too much to compare"]);
	t.same(uncovered(wide, policy({ principals: [...principals] }), new Room(0)), [], "but of what says the same");
	const [few, more] = [policy({ methods: ["GET"] }), policy({ methods: ["GET", "POST"] })];
	t.same(uncovered(few, more, new Room(0)), ["methods"], "and of what is small");
	t.same(uncovered(more, few, new Room(0)), []);
	const prefix = (text: string) => policy({ pathPrefixes: [text] });
	t.same(uncovered(prefix("/{a}/b"), prefix("/{a}/b/c/"), new Room()), [], "braces of a prefix are no variable");
});

const segment = fc.constantFrom("a", "b", "ab", "", "c");
const prefix = fc.array(segment, { maxLength: 4 }).map((all) => `/${all.join("/")}`);
const template = fc
	.array(fc.oneof(segment, fc.constant("{x}")), { minLength: 1, maxLength: 4 })
	.map((all) => `/${all.join("/")}`);

/** Whether all paths that fit the one fit the other, segment by segment. */
function isLike(one: string, other: string): boolean {
	const [narrow, wide] = [templateSegments(one), templateSegments(other)];
	return (
		narrow.length === wide.length && wide.every((part, at) => (part === null ? narrow[at] !== "" : narrow[at] === part))
	);
}
const literalBegin = (text: string): string => text.split("/{")[0] ?? "";

t.test("many paths hold what one of them holds", async () => {
	const room = () => new Room(Number.POSITIVE_INFINITY);
	fc.assert(
		fc.property(fc.array(prefix, { maxLength: 8 }), prefix, template, (all, one, other) => {
			const tree = PathTree.ofPrefixes(all);
			const isOver = all.some((wide) => underPrefix(one.endsWith("/") ? one.slice(0, -1) : one, wide));
			const isOverOther = all.some((wide) => underPrefix(literalBegin(other), wide));
			return (
				tree.isOver(prefixSegments(one), room()) === isOver &&
				tree.isOver(templateSegments(other), room()) === isOverOther
			);
		}),
		{ numRuns: 20_000 },
	);
	fc.assert(
		fc.property(fc.array(template, { maxLength: 8 }), template, (all, one) => {
			const isHeld = all.some((wide) => isLike(one, wide));
			return PathTree.ofTemplates(all).holds(templateSegments(one), room()) === isHeld;
		}),
		{ numRuns: 20_000 },
	);
});
