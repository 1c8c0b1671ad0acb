/** With several workers a table is in force when all of them answer by it: until then nobody is told so. */
import t from "tap";
import { Handover } from "../../src/cli/sidecar/handover.js";
import type { ToWorker } from "../../src/cli/sidecar/message.js";
import { tableOf } from "../sidecar/sampleTable.js";

const LONG_MS = 60_000;
const inMs = (ms: number): number => performance.now() + ms;
const turn = () => new Promise((resolve) => setImmediate(resolve));

function two() {
	const sent: ToWorker[] = [];
	const handover = new Handover((message) => sent.push(message));
	handover.join(1);
	handover.join(2);
	return { handover, sent };
}

t.test("it is settled when the last worker has it, or one that came after it", async (t) => {
	const { handover, sent } = two();
	const [one, next] = [tableOf(1), tableOf(2)];
	handover.give(one);
	t.match(sent, [{ kind: "table", order: 1, given: one }]);
	let behind: number | null = null;
	const settled = handover.settle(one, inMs(LONG_MS)).then((count) => {
		behind = count;
	});
	handover.report(1, 1);
	await turn();
	t.equal(behind, null);
	t.notOk(handover.isServed(1), "nobody serves what is not settled");
	handover.give(next);
	t.match(handover.greeting, [{ order: 2, given: next }], "a new worker begins by the newest");
	handover.report(2, 2);
	await settled;
	t.equal(behind, 0);
	t.same(
		[1, 2].map((id) => handover.isServed(id)),
		[true, true],
	);
	t.equal(await handover.settle(next, inMs(0)), 1);
	t.same(
		[1, 2].map((id) => handover.isServed(id)),
		[false, true],
		"no age for a table that it has not got",
	);
	handover.report(1, 2);
	t.ok(handover.isServed(1));
});

t.test("one that is gone is waited for no more, and one that hangs no longer than the bound", async (t) => {
	const { handover } = two();
	const [one, next] = [tableOf(1), tableOf(2)];
	handover.give(one);
	const settled = handover.settle(one, inMs(LONG_MS));
	handover.report(1, 1);
	handover.leave(2);
	t.equal(await settled, 0);
	handover.join(3);
	handover.report(3, 1);
	handover.give(next);
	handover.report(1, 2);
	const fromMs = performance.now();
	t.equal(await handover.settle(next, fromMs + 50), 1, "the third");
	t.ok(performance.now() - fromMs < 5_000);
	t.same(
		[1, 2, 3].map((id) => handover.isServed(id)),
		[true, false, false],
	);
});

t.test("a table that is handed on again counts as new: who has the one between has not got it", async (t) => {
	const { handover } = two();
	const one = tableOf(1);
	for (const given of [one, tableOf(2), tableOf(1)]) {
		handover.give(given);
		handover.report(1, handover.greeting[0]?.kind === "table" ? handover.greeting[0].order : 0);
	}
	handover.report(2, 2);
	t.equal(await handover.settle(one, inMs(0)), 0);
	const again = tableOf(1);
	handover.give(again);
	t.equal(await handover.settle(again, inMs(0)), 2);
});

t.test("one that a worker refuses is refused, and a new worker begins by the one before", async (t) => {
	const { handover } = two();
	const [one, bad, next] = [tableOf(1), tableOf(2), tableOf(3)];
	handover.give(one);
	for (const worker of [1, 2]) handover.report(worker, 1);
	await handover.settle(one, inMs(LONG_MS));
	handover.give(bad);
	const settled = handover.settle(bad, inMs(LONG_MS));
	handover.refuse(2);
	await t.rejects(settled, /cannot compile/);
	t.match(handover.greeting, [{ given: one }]);
	t.ok(handover.isServed(1), "the one before is served");
	handover.give(next);
	t.match(handover.greeting, [{ order: 3, given: next }]);
	for (const worker of [1, 2]) handover.report(worker, 3);
	t.equal(await handover.settle(next, inMs(LONG_MS)), 0);
});

t.test("where no worker listens, the next one is waited for", async (t) => {
	const { handover } = two();
	for (const worker of [1, 2]) handover.leave(worker);
	const one = tableOf(1);
	handover.give(one);
	t.equal(await handover.settle(one, inMs(0)), 1);
	const settled = handover.settle(one, inMs(LONG_MS));
	handover.join(3);
	handover.report(3, 1);
	t.equal(await settled, 0);
});
