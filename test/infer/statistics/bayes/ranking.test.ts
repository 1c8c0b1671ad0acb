import { readFileSync } from "node:fs";
import t, { type Test } from "tap";
import { betaPosterior, gaussianPosterior, PRIOR_UNIFORM } from "../../../../src/infer/statistics/bayes/posterior.js";
import { type Ranking, ranking } from "../../../../src/infer/statistics/bayes/ranking.js";
import { random } from "../random.js";

interface Case {
	readonly arms: readonly (readonly [number, number])[];
	readonly best: readonly number[];
	readonly second?: readonly number[];
	readonly loss: readonly number[];
}

const golden = JSON.parse(readFileSync("test/fixtures/statistics/bayes.json", "utf8")) as {
	readonly betaPairs: readonly Case[];
	readonly betas: readonly Case[];
	readonly gaussians: readonly Case[];
};

const betas = (arms: Case["arms"]): Ranking =>
	ranking({ family: "beta", arms: arms.map(([a, b]) => ({ a, b })) }, "up");
const gaussians = (arms: Case["arms"], direction: "up" | "down" = "up"): Ranking =>
	ranking({ family: "gaussian", arms: arms.map(([mean, sd]) => ({ mean, sd })) }, direction);

function compare(t: Test, seen: Ranking, truth: Case, name: string): void {
	for (const [arm, best] of truth.best.entries()) {
		t.ok(Math.abs((seen.best[arm] ?? -1) - best) < 1e-10, `${name}: best ${arm}: ${seen.best[arm]} against ${best}`);
		const second = truth.second?.[arm] ?? seen.second[arm] ?? -1;
		t.ok(Math.abs((seen.second[arm] ?? -1) - second) < 1e-10, `${name}: second ${arm}`);
		const loss = truth.loss[arm] ?? -1;
		t.ok(Math.abs((seen.loss[arm] ?? -1) / loss - 1) < 1e-9, `${name}: loss ${arm}: ${seen.loss[arm]} against ${loss}`);
	}
}

t.test("chances and losses of two rates agree with the closed form, up to a million conversions", async (t) => {
	for (const pair of golden.betaPairs) compare(t, betas(pair.arms), pair, JSON.stringify(pair.arms));
});

t.test("three rates with priors near 0 and 1 agree with the reference", async (t) => {
	for (const set of golden.betas) compare(t, betas(set.arms), set, JSON.stringify(set.arms));
});

t.test("Gaussian arms with widths that differ by a factor of 1,000 agree with the reference", async (t) => {
	for (const set of golden.gaussians) compare(t, gaussians(set.arms), set, JSON.stringify(set.arms));
});

t.test("with direction down the ranking is mirrored", async (t) => {
	const up = gaussians([
		[1, 0.1],
		[1.1, 0.2],
		[0.9, 0.3],
	]);
	const down = gaussians(
		[
			[-1, 0.1],
			[-1.1, 0.2],
			[-0.9, 0.3],
		],
		"down",
	);
	for (const key of ["best", "second", "loss"] as const)
		for (const [arm, value] of up[key].entries())
			t.ok(Math.abs(value - (down[key][arm] ?? -1)) < 1e-12, `${key} ${arm}`);
});

t.test("a common shift of a billion does not change the ranking", async (t) => {
	const at = (shift: number): Ranking =>
		gaussians([
			[shift, 0.5],
			[shift + 0.25, 0.25],
		]);
	t.same(at(1e9), at(0));
});

t.test("for random arms chances sum to 1, and mean plus loss is the same for every arm", async (t) => {
	const next = random(7);
	for (let run = 0; run < 40; run++) {
		const arms = Array.from({ length: 2 + Math.floor(next() * 5) }, () => ({
			a: 0.1 + next() * 10 ** Math.floor(next() * 6),
			b: 0.1 + next() * 10 ** Math.floor(next() * 6),
		}));
		const { best, second, loss } = ranking({ family: "beta", arms }, "up");
		const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
		t.ok(Math.abs(sum(best) - 1) < 1e-12 && Math.abs(sum(second) - 1) < 1e-12);
		// The loss of i is E[best] − E[i].
		const top = arms.map(({ a, b }, arm) => a / (a + b) + (loss[arm] ?? 0));
		t.ok(Math.max(...top) - Math.min(...top) < 1e-9, `${JSON.stringify(arms)}: ${top}`);
	}
});

t.test("a single arm is best, no arms give no ranking, and invalid distributions are refused", async (t) => {
	t.same(betas([[1, 1]]), { best: [1], second: [0], loss: [0] });
	t.same(betas([]), { best: [], second: [], loss: [] });
	for (const bad of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
		const arms = [[1, 1] as const, [bad, 1] as const];
		t.throws(() => betas(arms), RangeError);
		t.throws(() => gaussians(arms.map(([sd]) => [0, sd])), RangeError);
	}
});

t.test("a posterior combines data and prior, and needs a sampling error", async (t) => {
	t.same(betaPosterior({ n: 100, sum: 12.5 }, PRIOR_UNIFORM), { a: 13.5, b: 88.5 });
	const moments = { n: 101, mean: 3, m2: 100 * 101 * 0.04 };
	t.same(gaussianPosterior(moments, null), { mean: 3, sd: 0.2 });
	const pulled = gaussianPosterior(moments, { mean: 1, sd: 0.2 });
	t.ok(Math.abs((pulled?.mean ?? 0) - 2) < 1e-12 && Math.abs((pulled?.sd ?? 0) - 0.2 / Math.SQRT2) < 1e-12);
	for (const none of [
		{ n: 0, mean: 0, m2: 0 },
		{ n: 1, mean: 1, m2: 0 },
		{ n: 50, mean: 1, m2: 0 },
		{ n: 50, mean: Number.NaN, m2: 4 },
	])
		t.equal(gaussianPosterior(none, null), null);
});
