/** The keeper of plans' tables: one that is due while another one is being kept is kept after it. */
import t from "tap";
import { PlanKeeper } from "../../src/cli/roles/planKeeper.js";
import type { PlanTable } from "../../src/compiler/plan.js";

const TABLE = { gateways: [], services: [] } as unknown as PlanTable;

t.test("a plan that comes while an older one is being kept is kept too, and last", async (t) => {
	const asked: string[] = [];
	let answer = (): void => {};
	const answered = new Promise<void>((resolve) => {
		answer = resolve;
	});
	const keepPlan = async (version: string) => {
		asked.push(version);
		await answered;
	};
	const keeper = new PlanKeeper({ keepPlan }, { error: () => {}, info: () => {} });
	t.teardown(() => keeper.close());
	const older = keeper.keep("older", TABLE);
	while (asked.length === 0) await Promise.resolve();
	const newer = keeper.keep("newer", TABLE);
	for (let turn = 0; turn < 10; turn++) await Promise.resolve();
	t.same(asked, ["older"], "one at a time");
	answer();
	await older;
	await newer;
	t.same(asked, ["older", "newer"]);
	t.same(keeper.troubles(), []);
});
