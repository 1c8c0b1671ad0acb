import { readFileSync } from "node:fs";
import t from "tap";
import { banditWeights } from "../../../../src/infer/statistics/bandit/weights.js";
import { ranking } from "../../../../src/infer/statistics/bayes/ranking.js";
import { random } from "../random.js";

const { growthbookInverse: theirs } = JSON.parse(readFileSync("test/fixtures/statistics/bayes.json", "utf8")) as {
	readonly growthbookInverse: {
		readonly means: readonly number[];
		readonly sd: number;
		readonly theirs: readonly number[];
		readonly theirTwoArms: string;
	};
};

const lower = (means: readonly number[], sd: number) =>
	ranking({ family: "gaussian", arms: means.map((mean) => ({ mean, sd })) }, "down");

t.test("with lower as better the best arm keeps its share, which a peer starves", async (t) => {
	const seen = lower(theirs.means, theirs.sd);
	const weights = banditWeights("top-two", seen);
	t.comment(`best by us ${weights}, by GrowthBook ${theirs.theirs}; two arms by GrowthBook: ${theirs.theirTwoArms}`);
	t.ok((seen.best[0] ?? 0) > 0.9999, "the truth: 1.0 is the best of 1.0, 1.2 and 1.4");
	t.ok(Math.abs((weights[0] ?? 0) - 0.5) < 1e-5);
	t.ok((theirs.theirs[0] ?? 1) < 0.011, "the peer gives the best arm its floor");
	t.equal(theirs.theirTwoArms, "IndexError");
	const two = banditWeights("top-two", lower([1, 1.2], 0.03));
	t.ok(Math.abs((two[0] ?? 0) - 0.5) < 1e-12 && Math.abs((two[1] ?? 0) - 0.5) < 1e-12);
});

t.test("top-two weights agree with a simulation of top-two Thompson sampling", async (t) => {
	const seen = ranking(
		{
			family: "gaussian",
			arms: [
				{ mean: 0, sd: 1 },
				{ mean: 0.8, sd: 0.7 },
				{ mean: 0.5, sd: 1.5 },
				{ mean: -1, sd: 0.5 },
			],
		},
		"up",
	);
	const next = random(11);
	const draw = (): number => {
		let u = next();
		for (const [arm, chance] of seen.best.entries()) {
			u -= chance;
			if (u < 0) return arm;
		}
		return 0;
	};
	const counts = [0, 0, 0, 0];
	const runs = 200_000;
	for (let run = 0; run < runs; run++) {
		const leader = draw();
		let arm = leader;
		if (next() >= 0.5) while (arm === leader) arm = draw();
		counts[arm] = (counts[arm] ?? 0) + 1;
	}
	const weights = banditWeights("top-two", seen);
	for (const [arm, weight] of weights.entries()) {
		const error = Math.sqrt((weight * (1 - weight)) / runs);
		t.ok(Math.abs((counts[arm] ?? 0) / runs - weight) < 4.5 * error, `arm ${arm}: ${weight}`);
	}
});

t.test("top-two explores an uncertain third arm, which ranking by second place would not", async (t) => {
	const arms = [
		{ mean: 1, sd: 0.05 },
		{ mean: 0.7, sd: 0.01 },
		{ mean: 0.6, sd: 0.15 },
	];
	const seen = ranking({ family: "gaussian", arms }, "up");
	const weights = banditWeights("top-two", seen);
	t.ok((weights[2] ?? 0) > 0.49, `${weights}`);
	t.ok((seen.second[2] ?? 1) / 2 < 0.15, "½ P(best) + ½ P(second) would send it a sixth of that");
	t.same(banditWeights("thompson", seen), seen.best);
});

t.test("weights sum to 1, also if no challenger has a chance left", async (t) => {
	for (const gap of [0, 0.1, 1, 3, 10, 100]) {
		const weights = banditWeights("top-two", lower([1, 1 + gap, 1 + 2 * gap], 0.05));
		t.ok(Math.abs(weights.reduce((sum, weight) => sum + weight, 0) - 1) < 1e-12, `gap ${gap}: ${weights}`);
		t.ok(weights.every((weight) => weight >= 0 && weight <= 1));
	}
	t.ok(Math.abs((banditWeights("top-two", lower([1, 11, 21], 0.05))[1] ?? 0) - 0.5) < 1e-9, "the runner-up");
});
