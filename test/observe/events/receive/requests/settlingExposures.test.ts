/** Waiting exposures are bounded in number and in time, for any clients and clocks. */
import t from "tap";
import { UNIT_CACHE_MAX } from "../../../../../src/limits/index.js";
import { SettlingExposures } from "../../../../../src/observe/events/receive/requests/settlingExposures.js";

const NOW_MS = 1_700_000_000_000;
const request = (index: number) => ({ request: BigInt(index), startUs: 0 });
const exposure = (index: number) => ({
	unit: BigInt(index),
	experiment: "models",
	arm: "control",
	plan: "1",
	firstMs: NOW_MS,
	receivedMs: NOW_MS,
	livePoints: {},
	core: true,
	segments: {},
});

t.test("if too many wait, the oldest settle early and the newest can still be withdrawn", async (t) => {
	const settling = new SettlingExposures(1_000);
	for (let index = 0; index < UNIT_CACHE_MAX + 3; index++) settling.add(request(index), exposure(index), false);
	t.same(
		settling.take(NOW_MS).map(({ unit }) => unit),
		[0n, 1n, 2n],
	);
	t.equal(settling.size, UNIT_CACHE_MAX);
	settling.withdraw(request(UNIT_CACHE_MAX));
	t.equal(settling.size, UNIT_CACHE_MAX - 1);
	t.same(settling.take(NOW_MS), []);
	t.equal(settling.take(NOW_MS + 1_000).length, UNIT_CACHE_MAX - 1);
});

t.test("an Envoy whose clock is ahead does not hold back its exposures", (t) => {
	const settling = new SettlingExposures(1_000);
	settling.add(request(1), { ...exposure(1), firstMs: NOW_MS + 600_000 }, true);
	t.same(settling.take(NOW_MS + 1_999), []);
	t.equal(settling.take(NOW_MS + 2_000).length, 1);
	t.end();
});

t.test("at shutdown a unit that arrived with its request is kept, a late unit if it waited long enough", (t) => {
	const settling = new SettlingExposures(1_000);
	settling.add(request(1), exposure(1), false);
	settling.add(request(2), exposure(2), true);
	settling.add(request(3), { ...exposure(3), firstMs: NOW_MS - 1 }, true);
	t.same(
		settling.takeLast(NOW_MS + 1_999).map(({ unit }) => unit),
		[1n, 3n],
	);
	t.equal(settling.size, 0);
	t.end();
});
