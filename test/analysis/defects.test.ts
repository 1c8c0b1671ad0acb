/**
 * Where others are wrong: their number, ours, and the truth. Their numbers are made by
 * test/fixtures/statistics/defects.py.
 */
import { readFileSync } from "node:fs";
import t from "tap";
import { effectBelief } from "../../src/analysis/bayes/effect.js";
import { difference, relativeLift } from "../../src/analysis/estimators/contrast.js";
import { cupedLevel } from "../../src/analysis/estimators/cuped.js";
import { isNoEstimate, type Level, type NoEstimate } from "../../src/analysis/estimators/estimate.js";
import { meanLevel } from "../../src/analysis/estimators/level.js";
import { meanVectorOf, meanVectorOfMoments } from "../../src/analysis/estimators/meanVector.js";
import { sampleRatioTest } from "../../src/analysis/fixed/sampleRatio.js";
import { tTest } from "../../src/analysis/fixed/tTest.js";
import { logAdjusted } from "../../src/analysis/multiplicity/adjusted.js";
import { asympOneSidedPValue } from "../../src/analysis/sequential/asympEstimate.js";
import { momentsOf, variance } from "../../src/analysis/statistics/moments.js";

const theirs = JSON.parse(readFileSync("test/fixtures/statistics/defects.json", "utf8")) as {
	readonly twoSidedP: number;
	readonly srm: number;
	readonly variance: number;
	readonly prior: { readonly relative: number; readonly absolute: number };
	readonly sequentialMargin: Readonly<Record<"0.0" | "-0.1", number>>;
	readonly cupedLiftError: number;
};

function sure<T extends object>(result: T | NoEstimate): T {
	if (isNoEstimate(result)) throw new Error(result.reason);
	return result;
}

const level = (n: number, mean: number, spread: number): Level =>
	sure(meanLevel(sure(meanVectorOfMoments({ n, mean, m2: spread * (n - 1) }))));

t.test("gbstats: a two-sided p of 2(1 − cdf) is 0 at z = 10.83, and strong results tie", async (t) => {
	t.equal(theirs.twoSidedP, 0);
	const at = (z: number) =>
		sure(
			tTest(sure(difference(level(1e6, 1 + z * Math.sqrt(2e-6), 1), level(1e6, 1, 1))), {
				alternative: "two-sided",
				nullValue: 0,
				alpha: 0.05,
			}),
		);
	// scipy: 2*t.sf(10.83, 1999998).
	t.ok(Math.abs(at(10.83).pValue / 2.49e-27 - 1) < 0.05, `${at(10.83).pValue}`);
	const ordered = logAdjusted("benjamini-hochberg", [at(11).logPValue, at(60).logPValue, at(40).logPValue]);
	t.ok((ordered[1] ?? 0) < (ordered[2] ?? 0) && (ordered[2] ?? 0) < (ordered[0] ?? 0));
});

t.test("gbstats: an arm of weight 0 adds a degree of freedom and hides a mismatch", async (t) => {
	const ours = sure(sampleRatioTest([500, 560, 0], [0.5, 0.5, 0]));
	t.ok(Math.abs(theirs.srm - 0.18303) < 1e-5);
	t.ok(Math.abs(ours.pValue - 0.06534575) < 1e-8, `${ours.pValue}`);
	t.equal(ours.degreesOfFreedom, 1);
	for (const [counts, weights, truth] of [
		[[500, 560], [0.5, 0.5], 0.06534575],
		[[5000, 5600], [1, 1], 5.619e-9],
		[[1000, 1000], [1, 1], 1],
		[[50000, 51000], [2, 2], 0.0016519],
		[[900, 100], [9, 1], 1],
	] as const)
		t.ok(Math.abs(sure(sampleRatioTest(counts, weights)).pValue / truth - 1) < 1e-4, `${counts}`);
	for (const [counts, weights, words] of [
		[[1, 2, 3], [1, 1, 0], /weight 0/],
		[[1, 2], [1], /2 counts/],
		[[1, Number.NaN], [1, 1], /not a count/],
		[[1, -1], [1, 1], /not a count/],
		[[1, 1], [1, Number.NaN], /weight is not/],
		[[0, 0], [1, 1], /no units/],
		[[5], [1], /not two arms/],
	] as const)
		t.match(sampleRatioTest(counts, weights), { reason: words });
});

t.test("gbstats: the variance of 1e9 + 0.1i from sums of squares", async (t) => {
	const ours = variance(momentsOf(Array.from({ length: 10 }, (_, i) => 1e9 + 0.1 * i)));
	t.ok(Math.abs(ours - 0.55 / 6) < 1e-6, `${ours}`);
	t.ok(Math.abs(theirs.variance - 0.55 / 6) > 0.09, `gbstats says ${theirs.variance}`);
});

t.test("gbstats: an absolute prior on a relative effect is not brought to scale", async (t) => {
	t.equal(theirs.prior.absolute, theirs.prior.relative);
	const arm = (mean: number) => ({ n: 1000, mean, m2: 25 * 999 });
	const belief = (scale: "absolute" | "relative"): number =>
		effectBelief(arm(11), arm(10), "relative", { scale, mean: 0.2, sd: 0.1 }, "up")?.effect.mean ?? Number.NaN;
	t.ok(Math.abs(belief("relative") - theirs.prior.relative) < 1e-9, `${belief("relative")}`);
	// ±0.1 around 0.2 of a baseline of 10 is ±0.01 around 0.02: Bayes by hand.
	const data = { mean: 0.1, variance: 0.025 / 100 + (0.025 * 121) / 10_000 };
	const precise = (0.1 / data.variance + 0.02 / 1e-4) / (1 / data.variance + 1 / 1e-4);
	t.ok(Math.abs(belief("absolute") - precise) < 1e-9, `${belief("absolute")} ${precise}`);
});

t.test("gbstats: a one-sided sequential p-value that does not know its margin", async (t) => {
	t.same([theirs.sequentialMargin["0.0"], theirs.sequentialMargin["-0.1"]], [0.4999, 0.4999]);
	const estimate = sure(difference(level(10_000, 1.01, 1), level(10_000, 1, 1)));
	const { p: atZero } = sure(asympOneSidedPValue("above", estimate, 0, { alpha: 0.05 }));
	const { p: atMargin } = sure(asympOneSidedPValue("above", estimate, -0.1, { alpha: 0.05 }));
	// 0.01 is 7.8 standard errors above a margin of −0.1, and 0.7 above 0.
	t.ok(atZero > 0.4 && atMargin < 1e-9, `${atZero} ${atMargin}`);
});

t.test("gbstats before pull request 3610: CUPED's lift without the noise of the unadjusted baseline", async (t) => {
	const arm = (mean: number): Level =>
		sure(
			cupedLevel(sure(meanVectorOf(2, { n: 1000, means: [mean, 10], m2: [1000, 950, 1000] })), {
				theta: 0.95,
				centre: 10,
			}),
		);
	const ours = Math.sqrt(sure(relativeLift(arm(20), arm(10))).variance);
	// By hand: V_A(1 + 1 + 2) + V_R over 10², V_R = 1000/999/1000, V_A = (1 − 0.95²)·V_R.
	const raw = 1000 / 999 / 1000;
	const truth = Math.sqrt((raw * (4 * (1 - 0.95 ** 2) + 1)) / 100);
	t.ok(Math.abs(ours - truth) < 1e-12);
	t.ok(theirs.cupedLiftError < 0.6 * truth, `${theirs.cupedLiftError} for ${truth}`);
});
