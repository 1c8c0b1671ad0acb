/** Tables of a sidecar: which are kept, which dropped, and their age. */
import t from "tap";
import { Tables, type VersionedTable } from "../../../src/publish/sidecar/tables.js";
import { tableOf } from "./sampleTable.js";

const compile = ({ version }: VersionedTable) => ({ version });

function clock() {
	const at = { wall: 1_000_000, monotonic: 5 };
	return { at, wallMs: () => at.wall, monotonicMs: () => at.monotonic };
}

t.test("the newest and the last few tables are found by version; older ones are dropped", (t) => {
	const tables = new Tables({ compile, kept: 3 });
	t.equal(tables.get(null), null);
	t.equal(tables.get("x"), null);
	t.equal(tables.newest, null);
	const given = [1, 2, 3, 4].map(tableOf);
	for (const one of given) tables.put(one);
	const versions = given.map(({ version }) => version);
	t.same(
		versions.map((version) => tables.get(version)?.version ?? null),
		[null, ...versions.slice(1)],
	);
	t.equal(tables.get(null)?.version, versions[3]);
	t.equal(tables.newest, given[3]);
	t.end();
});

t.test("a version that returns is the newest again, without another compilation", (t) => {
	let compiled = 0;
	const tables = new Tables({ compile: (given) => ({ ...compile(given), number: ++compiled }), kept: 2 });
	const [one, two, three] = [tableOf(1), tableOf(2), tableOf(3)];
	tables.put(one);
	tables.put(two);
	tables.put(one);
	t.equal(compiled, 2);
	t.same(tables.get(null), { version: one.version, number: 1 });
	tables.put(three);
	t.ok(tables.get(one.version));
	t.equal(tables.get(two.version), null);
	t.end();
});

t.test("a table that cannot be compiled changes nothing", (t) => {
	const bad = tableOf(2);
	const tables = new Tables({
		compile: (given) => {
			if (given === bad) throw new Error("no");
			return compile(given);
		},
	});
	const good = tableOf(1);
	tables.put(good);
	let calls = 0;
	tables.onChange(() => calls++);
	t.throws(() => tables.put(bad), { message: "no" });
	t.equal(tables.newest, good);
	t.equal(tables.get(bad.version), null);
	t.equal(calls, 0);
	t.end();
});

t.test("the age is unlimited if unknown and 0 while confirmed, and counts from the outage", (t) => {
	const time = clock();
	const tables = new Tables({ compile, clock: time });
	t.equal(tables.ageMs(), Number.POSITIVE_INFINITY, "never confirmed");
	tables.put(tableOf(1));
	t.equal(tables.ageMs(), Number.POSITIVE_INFINITY, "a table does not set its age");
	tables.confirm();
	time.at.wall += 60_000;
	time.at.monotonic += 60_000;
	t.equal(tables.ageMs(), 0);
	tables.lapse();
	t.equal(tables.ageMs(), 0);
	time.at.wall += 700;
	time.at.monotonic += 700;
	t.equal(tables.ageMs(), 700);
	tables.lapse();
	t.equal(tables.ageMs(), 700, "a second lapse does not make it young");
	tables.setAge(5_000);
	time.at.wall += 1;
	t.equal(tables.ageMs(), 5_001);
	t.end();
});

t.test("no table gets younger by a wall clock that is set back or a machine that slept", (t) => {
	const time = clock();
	const tables = new Tables({ compile, clock: time });
	tables.setAge(100);
	time.at.wall -= 3_600_000;
	time.at.monotonic += 50;
	t.equal(tables.ageMs(), 150);
	time.at.wall += 3_600_000 + 90_000;
	t.equal(tables.ageMs(), 90_100, "the monotonic clock stood still meanwhile");
	t.end();
});

t.test("listeners are called once for every change until they stop", (t) => {
	const tables = new Tables({ compile });
	const seen: string[] = [];
	const stop = tables.onChange(() => seen.push(`${tables.newest?.table.services[0]?.timeoutMs} ${tables.confirmed}`));
	tables.put(tableOf(1));
	tables.confirm();
	tables.confirm();
	tables.lapse();
	tables.lapse();
	t.same(seen, ["1 false", "1 true", "1 false"]);
	stop();
	tables.put(tableOf(2));
	t.equal(seen.length, 3);
	t.end();
});

/** Tables whose preparation the test ends. */
function preparing() {
	const asked: string[] = [];
	const ready: (() => void)[] = [];
	const tables = new Tables({
		compile,
		prepare: ({ version }) =>
			new Promise<void>((resolve) => {
				asked.push(version);
				ready.push(resolve);
			}),
	});
	const turn = async (): Promise<void> => {
		ready.shift()?.();
		await new Promise((resolve) => setImmediate(resolve));
	};
	return { tables, asked, turn };
}

t.test("a table comes into force when it is prepared, the first at once", async (t) => {
	const { tables, asked, turn } = preparing();
	const [one, two] = [tableOf(1), tableOf(2)];
	await tables.take(one);
	t.equal(tables.newest, one);
	t.same(asked, [one.version], "and is prepared beside");
	t.notOk(tables.taking);
	const seen: unknown[] = [];
	tables.onChange(() => seen.push(tables.newest));
	const taken = tables.take(two, () => seen.push("in force"));
	await turn();
	t.equal(tables.newest, one);
	t.ok(tables.taking);
	await turn();
	await taken;
	t.same(seen, [two, "in force"]);
	t.notOk(tables.taking);
});

t.test("of waiting tables only the newest is prepared, after the one in progress", async (t) => {
	const { tables, asked, turn } = preparing();
	const given = [1, 2, 3, 4, 5].map(tableOf);
	const [one, two, three, four, five] = given.map(({ version }) => version);
	const inForce: (string | undefined)[] = [];
	const taken = given.slice(0, 2).map((each) => tables.take(each, () => inForce.push(each.version)));
	await new Promise((resolve) => setImmediate(resolve));
	t.same(asked, [one], "the second waits until the first, which is in force, is prepared");
	await turn();
	t.same(asked, [one, two]);
	for (const each of given.slice(2)) taken.push(tables.take(each, () => inForce.push(each.version)));
	await new Promise((resolve) => setImmediate(resolve));
	t.same(asked, [one, two], "one at a time");
	await turn();
	t.equal(tables.newest?.version, two, "in force, though three newer ones wait");
	t.same(asked, [one, two, five]);
	await turn();
	await Promise.all(taken);
	t.same(inForce, [one, two, five]);
	t.equal(tables.get(three ?? ""), null);
	t.equal(tables.get(four ?? ""), null);
});

t.test("a waiting table that cannot be compiled changes nothing and blocks no later one", async (t) => {
	const bad = tableOf(2);
	const tables = new Tables({
		compile: (given) => {
			if (given === bad) throw new Error("no");
			return compile(given);
		},
		prepare: async () => {},
	});
	await tables.take(tableOf(1));
	await t.rejects(tables.take(bad), { message: "no" });
	t.same(tables.newest, tableOf(1));
	t.notOk(tables.taking);
	await tables.take(tableOf(3));
	t.same(tables.newest, tableOf(3));
});

t.test("the hook that saves the newest table runs before the next one comes into force", async (t) => {
	const did: string[] = [];
	const [one, two] = [tableOf(1), tableOf(2)];
	const tables = new Tables({ compile, prepare: async () => {} });
	tables.onSwap(async (version, swap) => {
		await new Promise((resolve) => setImmediate(resolve));
		did.push(`${version} from ${tables.newest?.version ?? "none"}`);
		swap();
	});
	await Promise.all([one, two].map((given) => tables.take(given, () => did.push(`${given.version} is in force`))));
	t.same(did, [
		`${one.version} from none`,
		`${one.version} is in force`,
		`${two.version} from ${one.version}`,
		`${two.version} is in force`,
	]);
});
