/** With several workers a table is in force when all of them answer by it: until then nobody is told so. */
import t from "tap";
import { Handover } from "../../src/cli/sidecar/handover.js";
import type { ToWorker } from "../../src/cli/sidecar/message.js";
import { tableOf } from "../sidecar/sampleTable.js";

const LONG_MS = 60_000;
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** What a worker was told of tables, by their order. */
type Told = Extract<ToWorker, { readonly kind: "table" }>;

/** With two workers that were greeted. */
function two() {
	const told: Record<number, Told[]> = { 1: [], 2: [], 3: [], 4: [] };
	const take = (worker: number, message: ToWorker): void => {
		if (message.kind !== "table") throw new Error(message.kind);
		told[worker]?.push(message);
	};
	const handover = new Handover(take);
	const greet = (worker: number): void => {
		for (const message of handover.greet(worker)) take(worker, message);
	};
	for (const worker of [1, 2]) greet(worker);
	return { handover, greet, orders: (worker: number) => told[worker]?.map(({ order }) => order) ?? [], told };
}

t.test("it is settled when the last worker has it, or one that came after it", async (t) => {
	const { handover, greet, told, orders } = two();
	const [one, next] = [tableOf(1), tableOf(2)];
	handover.give(one);
	for (const worker of [1, 2]) t.match(told[worker], [{ kind: "table", order: 1, given: one }]);
	let behind: number | null = null;
	const settled = handover.settle(one, LONG_MS).then((count) => {
		behind = count;
	});
	handover.report(1, 1);
	await turn();
	t.equal(behind, null);
	t.notOk(handover.isServed(1), "nobody serves what is not settled");
	handover.give(next);
	greet(3);
	t.same(orders(3), [2], "a new worker begins by the newest");
	handover.report(2, 1);
	await turn();
	t.equal(behind, null, "and is waited for from its greeting on");
	handover.report(3, 2);
	handover.report(2, 2);
	await settled;
	t.equal(behind, 0);
	t.same(
		[1, 2].map((id) => handover.isServed(id)),
		[true, true],
	);
	t.equal(await handover.settle(next, 0), 1);
	t.same(
		[1, 2].map((id) => handover.isServed(id)),
		[false, true],
		"no age for a table that it has not got",
	);
	handover.report(1, 2);
	t.ok(handover.isServed(1));
});

t.test("one that is gone is waited for no more, and one that hangs no longer than the bound", async (t) => {
	const { handover, greet } = two();
	const [one, next] = [tableOf(1), tableOf(2)];
	handover.give(one);
	const settled = handover.settle(one, LONG_MS);
	handover.report(1, 1);
	handover.leave(2);
	handover.report(2, 0);
	t.equal(await settled, 0, "nor by what it said last");
	greet(3);
	handover.report(3, 1);
	handover.give(next);
	handover.report(1, 2);
	const fromMs = performance.now();
	t.equal(await handover.settle(next, 50), 1, "the third");
	t.ok(performance.now() - fromMs < 5_000);
	t.same(
		[1, 2, 3].map((id) => handover.isServed(id)),
		[true, false, false],
	);
});

t.test("a table that is handed on again counts as new: who has the one between has not got it", async (t) => {
	const { handover, orders } = two();
	const one = tableOf(1);
	for (const given of [one, tableOf(2), tableOf(1)]) {
		handover.give(given);
		handover.report(1, orders(1).at(-1) ?? 0);
	}
	handover.report(2, 2);
	t.equal(await handover.settle(one, 0), 0);
	const again = tableOf(1);
	handover.give(again);
	t.equal(await handover.settle(again, 0), 2);
});

t.test("one that a worker refuses is refused, and a new worker begins by the one before", async (t) => {
	const { handover, greet, orders } = two();
	const [one, bad, next] = [tableOf(1), tableOf(2), tableOf(3)];
	handover.give(one);
	for (const worker of [1, 2]) handover.report(worker, 1);
	await handover.settle(one, LONG_MS);
	handover.give(bad);
	const settled = handover.settle(bad, LONG_MS);
	handover.refuse(1, 2);
	await t.rejects(settled, /cannot compile/);
	greet(3);
	t.same(orders(3), [1]);
	t.ok(handover.isServed(1), "the one before is served");
	t.same(orders(1), [1, 2], "and not told again");
	handover.give(next);
	greet(4);
	t.same(orders(4), [3]);
	handover.refuse(2, 2);
	handover.report(3, 1);
	for (const worker of [1, 2, 3, 4]) handover.report(worker, 3);
	t.equal(await handover.settle(next, LONG_MS), 0);
	handover.refuse(4, 3);
	t.same(orders(4), [3], "what is served is not told in a circle to who refuses it");
});

t.test("where one is refused while the one before it settles, that one is what a new worker begins by", async (t) => {
	const { handover, greet, orders } = two();
	const [one, next, bad] = [tableOf(1), tableOf(2), tableOf(3)];
	handover.give(one);
	for (const worker of [1, 2]) handover.report(worker, 1);
	await handover.settle(one, LONG_MS);
	handover.give(next);
	const settled = handover.settle(next, LONG_MS);
	handover.report(1, 2);
	handover.give(bad);
	handover.refuse(1, 3);
	greet(3);
	t.same(orders(3), [2], "also while it settles");
	handover.report(3, 2);
	handover.report(2, 2);
	t.equal(await settled, 0);
	greet(4);
	t.same(orders(4), [2]);
	handover.report(4, 2);
	t.ok(handover.isServed(4), "and so it has an age");
});

t.test(
	"who owes an answer is told no more meanwhile, and then the newest, as old as what it did not get",
	async (t) => {
		const { handover, orders, told } = two();
		const tables = [1, 2, 3, 4].map(tableOf);
		const givenAtMs: number[] = [];
		for (const table of tables) {
			handover.give(table);
			const order = orders(1).at(-1) ?? 0;
			givenAtMs.push(told[1]?.at(-1)?.givenAtMs ?? 0);
			handover.report(1, order);
			await new Promise((resolve) => setTimeout(resolve, 20));
		}
		t.same(orders(1), [1, 2, 3, 4], "who answers keeps up");
		t.same(orders(2), [1]);
		handover.report(2, 1);
		t.same(orders(2), [1, 4]);
		t.equal(told[2]?.[1]?.givenAtMs, givenAtMs[1], "the second may have denied something");
		handover.report(2, 4);
		t.same(orders(2), [1, 4]);
		handover.give(tableOf(5));
		t.ok((told[2]?.[2]?.givenAtMs ?? 0) > (givenAtMs[3] ?? 0), "nothing waits any more");
	},
);

t.test("who refuses one without having had the one before is told that", async (t) => {
	const { handover, orders } = two();
	const [one, next, bad] = [tableOf(1), tableOf(2), tableOf(3)];
	handover.give(one);
	handover.report(1, 1);
	await handover.settle(one, 0);
	handover.give(next);
	handover.report(1, 2);
	handover.give(bad);
	handover.report(2, 1);
	t.same(orders(2), [1, 3]);
	handover.refuse(2, 3);
	t.same(orders(2), [1, 3, 2]);
	handover.report(2, 2);
	t.equal(await handover.settle(next, LONG_MS), 0);
});

t.test("where there is no worker, the next one is waited for", async (t) => {
	const { handover, greet } = two();
	for (const worker of [1, 2]) handover.leave(worker);
	const one = tableOf(1);
	handover.give(one);
	t.equal(await handover.settle(one, 0), 1);
	const settled = handover.settle(one, LONG_MS);
	greet(3);
	handover.report(3, 1);
	t.equal(await settled, 0);
});
