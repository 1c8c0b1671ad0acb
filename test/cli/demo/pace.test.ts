/** How many people a second the demo sends, against machines of a fixed capacity. */
import t from "tap";
import { Pace } from "../../../src/cli/demo/pace.js";

/** A machine's 90th percentile in ms: low up to `capacity`, a queue beyond. */
const p90 = (share: number, capacity: number): number => (share <= capacity ? 8 : 120);

/** Seconds until the pace is stable, at most `most`. */
function warm(pace: Pace, capacity: number, most = 20): number {
	for (let second = 0; second < most; second++) {
		if (pace.stage === "steady") return second;
		pace.second(p90(pace.share, capacity));
	}
	return most;
}

t.test("a machine that serves all units reaches all units within seconds", async (t) => {
	const pace = new Pace();
	t.equal(pace.stage, "warming");
	const seconds = warm(pace, 1);
	t.equal(pace.share, 1);
	t.ok(seconds <= 8, `${seconds} s`);
	pace.settle();
	t.equal(pace.stage, "settled");
	t.equal(pace.share, 1, "there is no limit to keep away from");
});

t.test("a slower machine gets as many as it serves, and fewer once it measures", async (t) => {
	for (const capacity of [0.15, 0.3, 0.5, 0.7, 0.9]) {
		const pace = new Pace();
		warm(pace, capacity);
		t.ok(pace.share > capacity * 0.5 && pace.share < capacity * 1.6, `${pace.share} of ${capacity}`);
		const before = pace.share;
		pace.settle();
		t.ok(pace.share < before);
		for (let second = 0; second < 6; second++) pace.second(p90(pace.share, capacity));
		t.ok(pace.share <= capacity, `${pace.share} of ${capacity}`);
	}
});

t.test("a cold start does not count for the pace", async (t) => {
	for (const cold of [1, 2, 4]) {
		const pace = new Pace();
		for (let second = 0; second < cold; second++) pace.second(500);
		warm(pace, 1);
		pace.settle();
		t.equal(pace.share, 1, `${cold} s`);
	}
});

t.test("one bad second is ignored, two are not; the load does not grow faster after them", async (t) => {
	const pace = new Pace();
	warm(pace, 1);
	pace.second(500);
	t.equal(pace.share, 1);
	pace.second(8);
	pace.second(500);
	t.equal(pace.share, 1);
	pace.second(500);
	t.equal(pace.share, 0.7);
	pace.second(8);
	t.ok(pace.share > 0.7 && pace.share < 0.8);
});

t.test("the pace falls while it is measured, and then returns to its former level and no further", async (t) => {
	const pace = new Pace();
	warm(pace, 0.5);
	pace.settle();
	const settled = pace.share;
	pace.second(500);
	pace.second(500);
	t.ok(pace.share < settled);
	const fallen = pace.share;
	for (let second = 0; second < 3; second++) pace.second(8);
	t.equal(pace.share, fallen, "not at once: the measurement needs a stable pace");
	for (let second = 0; second < 60; second++) pace.second(8);
	t.equal(pace.share, settled);
});

t.test("the pace never falls to zero", async (t) => {
	const pace = new Pace();
	for (let second = 0; second < 100; second++) pace.second(1_000);
	t.equal(pace.share, 0.1);
});
