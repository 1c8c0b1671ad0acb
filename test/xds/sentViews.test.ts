/** What was sent is remembered by number and by size. */
import t from "tap";
import { RecentViews } from "../../src/xds/sentViews.js";
import type { View } from "../../src/xds/snapshot.js";
import { A, B, snapshot } from "./script.js";

/** Of Service a, whose endpoint is another with each, and of b, the same for all. */
function endpoints(count: number): readonly View[] {
	const { endpoints: shared } = snapshot({ b: B }).views;
	return Array.from({ length: count }, (_, at) => {
		const { endpoints: own } = snapshot({ a: { ...A, variants: { v1: 1_000 + at }, weights: { v1: 1 } } }).views;
		return new Map([...own, ...shared]);
	});
}

const versions = (views: RecentViews, count: number): readonly number[] =>
	Array.from({ length: count }, (_, at) => at).filter((at) => views.recall("endpoints", `${at}`) !== null);

t.test("the youngest stay, as many as there is room for", async (t) => {
	const all = endpoints(10);
	const one = new RecentViews({ views: 100, bytes: Number.POSITIVE_INFINITY, least: 0 });
	one.remember("endpoints", "0", all[0] ?? new Map());
	const first = one.bytes;
	one.remember("endpoints", "1", all[1] ?? new Map());
	t.ok(one.bytes < 2 * first, "what is in both counts once");
	one.remember("endpoints", "1", all[1] ?? new Map());
	const two = one.bytes;
	const kept = (bytes: number, least: number, views = 100) => {
		const recent = new RecentViews({ views, bytes, least });
		for (const [at, view] of all.entries()) {
			recent.remember("endpoints", `${at}`, view);
			// In use.
			recent.remember("endpoints", "0", all[0] ?? new Map());
		}
		return { stay: versions(recent, 10), bytes: recent.bytes };
	};
	t.same(kept(two, 0), { stay: [0, 9], bytes: two });
	t.same(kept(0, 3).stay, [0, 8, 9], "however large they are");
	t.same(kept(Number.POSITIVE_INFINITY, 0, 4).stay, [0, 7, 8, 9]);
});

t.test("a client that has not asked for all yet takes nothing from those that have", async (t) => {
	const recent = new RecentViews({ views: 9, bytes: Number.POSITIVE_INFINITY, least: 0 });
	const [all = new Map()] = endpoints(1);
	const some: View = new Map([...all].slice(0, 1));
	for (const view of [some, all, some]) recent.remember("endpoints", "0", view);
	t.same(recent.recall("endpoints", "0"), all);
	const whole = new RecentViews({ views: 9, bytes: Number.POSITIVE_INFINITY, least: 0 });
	whole.remember("endpoints", "0", all);
	t.equal(recent.bytes, whole.bytes);
});
