import t from "tap";
import { armPoints, armRegions } from "../../../../src/compile/assignment/region.js";
import { type BanditArm, banditShares } from "../../../../src/infer/statistics/bandit/allocation.js";
import type { ArmPosteriors } from "../../../../src/infer/statistics/bayes/posterior.js";

const settings = { algorithm: "thompson", direction: "down", floorPpm: 100_000, minUnits: 500 } as const;

const arms = (change: (index: number) => Partial<BanditArm> = () => ({})): BanditArm[] =>
	[1, 1, 1].map((weight, index) => ({
		weight,
		baseline: index === 0,
		closed: false,
		units: 1_000,
		sharePpm: 1_000_000,
		...change(index),
	}));

/** Lower is better: the last arm leads, the one before it has no chance. */
const clear: ArmPosteriors = {
	family: "gaussian",
	arms: [
		{ mean: 1.2, sd: 0.03 },
		{ mean: 1.4, sd: 0.03 },
		{ mean: 1, sd: 0.03 },
	],
};

t.test("the leader and the baseline are fully live, an arm without a chance has the floor", async (t) => {
	const { sharesPpm, ranking, held } = banditShares(arms(), clear, settings);
	t.same(sharesPpm, [1_000_000, 100_000, 1_000_000]);
	t.equal(held, "");
	t.ok((ranking?.best[2] ?? 0) > 0.99);
});

t.test("if the baseline leads, every challenger gets the floor", async (t) => {
	const posteriors: ArmPosteriors = {
		family: "beta",
		arms: [
			{ a: 10, b: 990 },
			{ a: 60, b: 940 },
			{ a: 70, b: 930 },
		],
	};
	const { sharesPpm } = banditShares(arms(), posteriors, settings);
	t.same(sharesPpm, [1_000_000, 100_000, 100_000]);
});

t.test("an arm with a small weight is judged by its gain relative to the weight", async (t) => {
	const equal: ArmPosteriors = { family: "gaussian", arms: [1, 1, 1].map((mean) => ({ mean, sd: 0.1 })) };
	const small = arms((index) => ({ weight: index === 2 ? 1 : 10 }));
	const { sharesPpm } = banditShares(small, equal, settings);
	t.equal(sharesPpm[2], 1_000_000, "a third of the chance for a twenty-first of the weight");
	t.equal(sharesPpm[1], 190_000, "0.1 + 0.9 · 1/10");
});

t.test("shares move only with enough data in each open arm; closed arms have no share", async (t) => {
	const few = banditShares(
		arms((index) => ({ units: index === 1 ? 499 : 5_000 })),
		clear,
		settings,
	);
	t.same(few, { sharesPpm: [1e6, 1e6, 1e6], ranking: null, held: "the smallest arm has 499 of 500 units" });
	t.match(banditShares(arms(), null, settings), { sharesPpm: [1e6, 1e6, 1e6], held: /no data/ });
	const closed = banditShares(
		arms((index) => ({ closed: index === 2, units: index === 2 ? 0 : 1_000 })),
		clear,
		settings,
	);
	t.equal(closed.sharesPpm[2], 0);
	t.equal(closed.ranking?.best[2], 0);
	t.ok(Math.abs((closed.ranking?.best[0] ?? 0) - 1) < 1e-5, "ranked among the open ones");
	t.match(
		banditShares(
			arms((index) => ({ closed: index > 0 })),
			clear,
			settings,
		),
		{
			sharesPpm: [1e6, 0, 0],
			held: /fewer than two/,
		},
	);
});

t.test("a change that is too small moves no unit", async (t) => {
	const close: ArmPosteriors = { family: "gaussian", arms: [1, 1.01, 1].map((mean) => ({ mean, sd: 0.1 })) };
	const wanted = banditShares(arms(), close, settings).sharesPpm[1] ?? 0;
	t.ok(wanted < 980_000);
	const near = banditShares(
		arms((index) => ({ sharePpm: index === 1 ? wanted + 19_000 : 1e6 })),
		close,
		settings,
	);
	t.equal(near.sharesPpm[1], wanted + 19_000);
	const far = banditShares(
		arms((index) => ({ sharePpm: index === 1 ? wanted - 21_000 : 1e6 })),
		close,
		settings,
	);
	t.equal(far.sharesPpm[1], wanted);
	const below = banditShares(
		arms((index) => ({ sharePpm: index === 1 ? 90_000 : 1e6 })),
		clear,
		settings,
	);
	t.equal(below.sharesPpm[1], 100_000, "but the floor is kept");
});

t.test("no unit changes its arm, the core stays, and a change moves the fewest points", async (t) => {
	const regions = armRegions([3, 2, 5]);
	/** Arm of every 97th point, or −1 for the default Variant. */
	const assigned = (allocation: number, shares: readonly number[]): number[] => {
		const result: number[] = [];
		for (let point = 0; point < 1_000_000; point += 97) {
			const arm = regions.findIndex(({ loPpm, hiPpm }) => point >= loPpm && point < hiPpm);
			const { loPpm, hiPpm } = regions[arm] ?? { loPpm: 0, hiPpm: 0 };
			const live = armPoints(hiPpm - loPpm, allocation, shares[arm] ?? 0);
			result.push(point < loPpm + live ? arm : -1);
		}
		return result;
	};
	const shares = [
		[1e6, 1e6, 1e6],
		[1e6, 120_000, 1e6],
		[1e6, 640_000, 100_000],
		[1e6, 100_000, 730_000],
	];
	let before = assigned(200_000, shares[0] ?? []);
	const first = before;
	for (const next of shares) {
		const now = assigned(200_000, next);
		for (const [index, arm] of now.entries()) {
			const was = before[index] ?? -1;
			if (arm !== -1 && was !== -1 && arm !== was) t.fail(`point ${index} went from arm ${was} to arm ${arm}`);
		}
		before = now;
	}
	const core = assigned(200_000, [100_000, 100_000, 100_000]);
	for (const next of shares)
		for (const [index, arm] of assigned(200_000, next).entries())
			if ((core[index] ?? -1) !== -1 && arm !== core[index]) t.fail(`core point ${index} left`);
	t.same(assigned(200_000, shares[0] ?? []), first, "back where it was");
	t.equal(armPoints(500_000, 123_456, 1_000_000), 61_728, "a whole share is the plain ramp");
});
