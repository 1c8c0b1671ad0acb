/** Tables of plans that the disk does not take: how many are in memory, for how long, and which is the newest. */
import t, { type Test } from "tap";
import type { PlanTable } from "../../src/compiler/plan.js";
import { WeirError } from "../../src/error.js";
import { UNWRITTEN_PLANS_MAX } from "../../src/limits.js";
import { openDatabase } from "../../src/state/store/database.js";
import { PlanShelf } from "../../src/state/store/planShelf.js";
import { temporaryDirectory } from "./employment.js";

const table = (of: string): PlanTable => ({ gateways: [], services: [], of }) as unknown as PlanTable;

function scene(t: Test) {
	const disk = { isFull: false };
	const database = openDatabase(temporaryDirectory(t));
	t.teardown(() => database.close());
	const transaction = <T>(change: () => T): T => {
		if (disk.isFull) throw new WeirError("unavailable", "the disk is full");
		return database.transaction(change);
	};
	const shelf = new PlanShelf({ ...database, transaction });
	let nowMs = 0;
	const keep = (version: string, of = table(version)) => shelf.keep(version, of, ++nowMs);
	const refused = (version: string) => t.throws(() => keep(version), { code: "unavailable" });
	return { disk, database, shelf, keep, refused };
}

t.test("one that is published again is the newest", async (t) => {
	const { disk, shelf, keep, refused } = scene(t);
	disk.isFull = true;
	for (const version of ["a", "b", "a"]) refused(version);
	t.same(shelf.newest(), table("a"));
	disk.isFull = false;
	keep("c");
	keep("b");
	t.same(shelf.newest(), table("b"), "on the disk, too");
});

t.test("of more than there is memory for the oldest goes", async (t) => {
	const { disk, database, shelf, keep, refused } = scene(t);
	disk.isFull = true;
	refused("first");
	refused("second");
	for (let more = 2; more < UNWRITTEN_PLANS_MAX; more++) refused(`plan-${more}`);
	t.same(shelf.get("first"), table("first"));
	refused("last");
	t.equal(shelf.get("first"), null);
	t.same(shelf.get("second"), table("second"));
	disk.isFull = false;
	keep("last");
	t.equal(database.plans.getKeysCount(), UNWRITTEN_PLANS_MAX);
});

t.test("what the disk has taken is in memory no longer, and not written again", async (t) => {
	const { disk, database, shelf, keep, refused } = scene(t);
	disk.isFull = true;
	refused("a");
	disk.isFull = false;
	keep("b");
	t.same(database.plans.get("a"), { keptAtMs: 1, table: table("a") });
	database.plans.removeSync("a");
	t.equal(shelf.get("a"), null);
	keep("c");
	t.equal(database.plans.get("a"), undefined);
});

t.test("one that cannot be written for another cause than the disk keeps no later one from it", async (t) => {
	const { database, shelf, keep } = scene(t);
	t.throws(() => keep("wrong", { of: 1n } as unknown as PlanTable), { name: "TypeError" });
	keep("right");
	t.same([...database.plans.getKeys()], ["right"]);
	t.equal(shelf.get("wrong"), null);
});
