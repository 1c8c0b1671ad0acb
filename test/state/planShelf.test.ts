/** Tables of plans: which is the newest, and what a disk refuses. */
import t from "tap";
import type { PlanTable } from "../../src/compiler/plan.js";
import { WeirError } from "../../src/error.js";
import { openDatabase } from "../../src/state/store/database.js";
import { PlanShelf } from "../../src/state/store/planShelf.js";
import { temporaryDirectory } from "./employment.js";

const table = (of: string): PlanTable => ({ gateways: [], services: [], of }) as unknown as PlanTable;

t.test("one that is published again is the newest, and one that the disk refuses is not there", async (t) => {
	let isFull = false;
	const database = openDatabase(temporaryDirectory(t));
	t.teardown(() => database.close());
	const transaction = <T>(change: () => T): T => {
		if (isFull) throw new WeirError("unavailable", "the disk is full");
		return database.transaction(change);
	};
	const shelf = new PlanShelf({ ...database, transaction });
	let nowMs = 0;
	const keep = (version: string) => shelf.keep(version, table(version), ++nowMs);
	for (const version of ["a", "b", "a"]) keep(version);
	t.same(shelf.newest(), table("a"));
	isFull = true;
	t.throws(() => keep("c"), { code: "unavailable" });
	t.same([shelf.newest(), shelf.get("c")], [table("a"), null]);
	isFull = false;
	keep("c");
	t.same(shelf.newest(), table("c"));
});
