/** Post-stratification against a regression by statsmodels (test/fixtures/statistics/postStratified.py). */
import { readFileSync } from "node:fs";
import t from "tap";
import { isNoEstimate } from "../../../src/infer/statistics/estimators/estimate.js";
import { postStratified } from "../../../src/infer/statistics/postStratified.js";
import { type Moments, mergeMoments } from "../../../src/infer/statistics/statistics/moments.js";
import { metric } from "../../decide/rollout/example.js";

const golden = JSON.parse(readFileSync("test/fixtures/statistics/postStratified.json", "utf8")) as readonly {
	readonly relative: boolean;
	readonly direction: "up" | "down";
	/** Baseline, challenger. */
	readonly strata: readonly (readonly [Moments, Moments])[];
	readonly improvement: number;
	readonly standardError: number;
}[];

const asked = (relative: boolean, direction: "up" | "down" = "up", type: "mean" | "ratio" = "mean") =>
	({
		metric: metric("goal", { type, direction }),
		effect: { kind: relative ? "relative" : "absolute", value: 0 },
	}) as const;

t.test("post-stratified differences, lifts and standard errors agree with the regression", async (t) => {
	for (const { relative, direction, strata, improvement, standardError } of golden) {
		const values = strata.map(([baseline, challenger]) => ({ baseline, challenger }));
		const found = postStratified(asked(relative, direction), values);
		if (isNoEstimate(found)) throw new Error(found.reason);
		t.equal(found.strata, strata.length);
		const good =
			Math.abs(found.improvement - improvement) < 1e-9 && Math.abs(found.standardError / standardError - 1) < 1e-9;
		if (!good) t.fail(`${JSON.stringify(found)} against ${improvement} ± ${standardError}`);
	}
	t.equal(golden.length, 24);
});

t.test("a chance imbalance is removed", async (t) => {
	const arm = (n: number, mean: number) => ({ n, mean, m2: n });
	// There is no effect, but the challenger has more units with large values.
	const values = [
		{ baseline: arm(400, 1), challenger: arm(300, 1) },
		{ baseline: arm(300, 9), challenger: arm(400, 9) },
	];
	const found = postStratified(asked(false), values);
	if (isNoEstimate(found)) throw new Error(found.reason);
	t.ok(Math.abs(found.improvement) < 1e-12 && found.crude.improvement > 1);
	t.ok(found.standardError < found.crude.standardError / 3);
	t.equal(found.units, 1_400);
});

t.test("values with few units are merged, and too few units give no result", async (t) => {
	const arm = (n: number, mean: number) => ({ n, mean, m2: n });
	const large = { baseline: arm(400, 1), challenger: arm(300, 1.5) };
	const other = { baseline: arm(100, 4), challenger: arm(90, 4.5) };
	const small = { baseline: arm(20, 3), challenger: arm(10, 2) };
	const few = postStratified(asked(false), [large, other, small]);
	const same = postStratified(asked(false), [
		large,
		{
			baseline: mergeMoments(other.baseline, small.baseline),
			challenger: mergeMoments(other.challenger, small.challenger),
		},
	]);
	t.same(few, same);
	t.match(few, { strata: 2 });
	t.match(postStratified(asked(false), [large, small]), { reason: /fewer than two values/ });
	t.match(postStratified(asked(false), []), { reason: /fewer than two values/ });
	t.match(postStratified(asked(false, "up", "ratio"), [large, other]), { reason: /no denominators/ });
	const alike = { baseline: { n: 50, mean: 1, m2: 0 }, challenger: { n: 50, mean: 1, m2: 0 } };
	t.match(postStratified(asked(false), [alike, alike]), { reason: /variance/ });
});

t.test("a ratio is post-stratified by numerator and denominator", async (t) => {
	const arm = (n: number, means: readonly [number, number]) => ({
		...{ n, mean: means[0], m2: n },
		co: { n, means, m2: [n, 0.2 * n, n] },
	});
	const values = [
		{ baseline: arm(400, [2, 4]), challenger: arm(300, [3, 4]) },
		{ baseline: arm(300, [6, 2]), challenger: arm(400, [6, 2]) },
	];
	const found = postStratified(asked(false, "up", "ratio"), values);
	if (isNoEstimate(found)) throw new Error(found.reason);
	// Both strata have half of the 1,400 units: (3 + 6)/(4 + 2) − (2 + 6)/(4 + 2).
	t.ok(Math.abs(found.improvement - (9 / 6 - 8 / 6)) < 1e-12 && found.standardError > 0);
});
