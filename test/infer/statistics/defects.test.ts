/**
 * Where others are wrong: their number, ours, and the truth. gbstats' numbers are made by
 * test/fixtures/statistics/defects.py, Kayenta's by its rule as test/bench/harm/mannWhitney.ts has it.
 */
import { readFileSync } from "node:fs";
import t from "tap";
import { effectBelief } from "../../../src/infer/statistics/bayes/effect.js";
import { difference, relativeLift } from "../../../src/infer/statistics/estimators/contrast.js";
import { cupedLevel } from "../../../src/infer/statistics/estimators/cuped.js";
import { isNoEstimate, type Level, type NoEstimate } from "../../../src/infer/statistics/estimators/estimate.js";
import { meanLevel } from "../../../src/infer/statistics/estimators/level.js";
import { meanVectorOf, meanVectorOfMoments } from "../../../src/infer/statistics/estimators/meanVector.js";
import { sampleRatioTest } from "../../../src/infer/statistics/fixed/sampleRatio.js";
import { tTest } from "../../../src/infer/statistics/fixed/tTest.js";
import { logAdjusted } from "../../../src/infer/statistics/multiplicity/adjusted.js";
import { asympOneSidedPValue } from "../../../src/infer/statistics/sequential/asympEstimate.js";
import { logEvidence, PRIOR_RARE } from "../../../src/infer/statistics/sequential/bernoulliMixture.js";
import { sampleRatio } from "../../../src/infer/statistics/sequential/srm.js";
import { momentsOf, variance } from "../../../src/infer/statistics/statistics/moments.js";
import { hodgesLehmann } from "../../bench/harm/mannWhitney.js";
import { random } from "./random.js";

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

/** Kayenta fails a metric whose interval of the shift lies above a quarter of the shift itself. */
function kayentaFails(canary: readonly number[], baseline: readonly number[]): boolean {
	const { estimate, low } = hodgesLehmann(canary, baseline);
	return low > 0.25 * Math.abs(estimate);
}

/** Our proof of harm: the challenger's share lies above the baseline's by more than the margin, at one in a hundred. */
const harmProved = (canary: number, baseline: number, n: number, margin: number): boolean =>
	logEvidence("above", { n, sum: canary }, { n, sum: baseline }, { slope: 1, offset: margin }, PRIOR_RARE) >=
	Math.log(100);

t.test("Kayenta: errors in 5 of 60 minutes pass, because the median minute has none (#426)", async (t) => {
	const canary = Array.from({ length: 60 }, (_, minute) => (minute % 12 === 0 ? 0.05 : 0));
	const baseline = canary.map(() => 0);
	t.equal(kayentaFails(canary, baseline), false);
	// The same by people: 100 a minute, 5 of whom fail in each of these minutes, none in the baseline.
	t.ok(harmProved(25, 0, 6_000, 0.001));
});

t.test("Kayenta: 7 of 10 minutes a hundred times slower pass (#780)", async (t) => {
	const baseline = Array.from({ length: 10 }, (_, minute) => 1 + minute / 100);
	const canary = baseline.map((value, minute) => (minute < 7 ? 100 * value : value));
	t.equal(kayentaFails(canary, baseline), false);
	// 20 people a minute, against a limit that 1 % of the baseline's are slower than.
	t.ok(harmProved(140, 2, 200, 0.01));
});

t.test("Kayenta: a spread ten times wider passes, because its middle is the same", async (t) => {
	const baseline = Array.from({ length: 60 }, (_, minute) => 90.5 + (minute % 20));
	const canary = baseline.map((value) => 100 + 10 * (value - 100));
	t.equal(kayentaFails(canary, baseline), false);
	const slow = (values: readonly number[]): number => values.filter((value) => value > 110).length;
	t.same([slow(canary), slow(baseline)], [27, 0]);
	t.ok(harmProved(slow(canary), slow(baseline), 60, 0.01));
});

t.test("Kayenta: two minutes of a canary are a verdict, whatever they hold", async (t) => {
	// One value each side of noise: the interval of two and two points is the distance of their extremes.
	t.equal(kayentaFails([1.2, 1.3], [1, 1.1]), true, "rolled back for nothing");
	t.equal(kayentaFails([1, 1.1], [1.2, 1.3]), false, "and passed, though nothing is known");
	const known = (canary: number, baseline: number): number =>
		logEvidence("above", { n: 2, sum: canary }, { n: 2, sum: baseline }, { slope: 1, offset: 0.01 }, PRIOR_RARE);
	t.ok(known(2, 0) < Math.log(100), "no harm from two people");
	const below = logEvidence("below", { n: 2, sum: 0 }, { n: 2, sum: 2 }, { slope: 1, offset: 0.01 }, PRIOR_RARE);
	t.ok(below < Math.log(100), "and no pass");
});

t.test("Eppo and GrowthBook: a chi-square of the sample ratio at 0.1 %, looked at every 10 units", async (t) => {
	const [runs, units, critical] = [2_000, 5_000, 10.827566170662733];
	let [theirs, ours] = [0, 0];
	for (let run = 0; run < runs; run++) {
		const next = random(run + 1);
		let [a, rejected, found] = [0, false, false];
		for (let n = 1; n <= units; n++) {
			if (next() < 0.5) a++;
			// A mixture is at most its best likelihood ratio, so ours says nothing where chi-square is below this.
			if (n < 100 || n % 10 !== 0 || (2 * a - n) ** 2 / n <= critical) continue;
			rejected = true;
			const counts = { a, b: n - a };
			const result = sampleRatio([{ planVersion: "p", firstMs: 0, counts, livePoints: { a: 1, b: 1 } }]);
			if (result !== null && result.p <= 0.001) found = true;
		}
		if (rejected) theirs++;
		if (found) ours++;
	}
	t.comment(`false alarms in ${runs} fair splits, 2 promised: chi-square ${theirs}, ours ${ours}`);
	t.ok(theirs >= 20, "ten times what it says, or more");
	t.ok(ours <= 2);
});
