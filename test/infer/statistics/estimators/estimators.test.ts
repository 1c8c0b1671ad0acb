import { readFileSync } from "node:fs";
import t from "tap";
import {
	difference,
	fiellerSet,
	liftContrast,
	relativeLift,
} from "../../../../src/infer/statistics/estimators/contrast.js";
import { cupedLevel, cupedRatioLevel } from "../../../../src/infer/statistics/estimators/cuped.js";
import {
	type Estimate,
	isNoEstimate,
	type Level,
	type NoEstimate,
} from "../../../../src/infer/statistics/estimators/estimate.js";
import { meanLevel, ratioLevel } from "../../../../src/infer/statistics/estimators/level.js";
import {
	type MeanVector,
	meanVectorOf,
	meanVectorOfMoments,
} from "../../../../src/infer/statistics/estimators/meanVector.js";
import { bracketOf, quantileLevel } from "../../../../src/infer/statistics/estimators/quantile.js";
import {
	sharesOf,
	stratifiedMeans,
	withEstimatedShares,
} from "../../../../src/infer/statistics/estimators/stratification.js";
import { type CoMoments, noCoMoments } from "../../../../src/infer/statistics/statistics/coMoments.js";
import type { Moments } from "../../../../src/infer/statistics/statistics/moments.js";
import { coMomentsOf, meanAdjustment, proportionLevel, ratioAdjustment } from "../formulas.js";

/** Value, standard error and degrees of freedom. */
type Truth = readonly [number, number, number];
interface Golden {
	readonly means: readonly Case[];
	readonly proportions: readonly {
		arms: readonly [[number, number], [number, number]];
		difference: Truth;
		lift: Truth;
	}[];
	readonly ratios: readonly Case[];
	readonly cuped: readonly (Case & { readonly theta: number })[];
	readonly cupedRatios: readonly (Case & { readonly theta: number })[];
	readonly stratifiedMeans: readonly StrataCase[];
	readonly stratifiedRatios: readonly StrataCase[];
	readonly quantiles: readonly {
		readonly quantile: number;
		readonly value: number;
		readonly lower: number;
		readonly upper: number;
		readonly clusters: CoMoments;
		readonly variance: number;
	}[];
}
interface Case {
	readonly arms: readonly [CoMoments, CoMoments];
	readonly difference: Truth;
	readonly lift: Truth;
}
interface StrataCase {
	readonly strata: readonly (readonly [CoMoments, CoMoments])[];
	readonly difference: readonly [number, number];
	readonly lift: readonly [number, number];
}

const golden = JSON.parse(readFileSync("test/fixtures/statistics/estimators.json", "utf8")) as Golden;

function sure<T extends object>(result: T | NoEstimate): T {
	if (isNoEstimate(result)) throw new Error(result.reason);
	return result;
}

const near = (actual: number, truth: number, tolerance = 1e-9): boolean =>
	Math.abs(actual - truth) <= tolerance * Math.abs(truth);

/** Value to 1e-9 of the level it is a difference of, standard error to 1e-9, degrees of freedom where given. */
function agrees(estimate: Estimate, [value, error, df]: readonly number[], scale: number): boolean {
	return (
		Math.abs(estimate.value - (value ?? Number.NaN)) <= 1e-9 * scale &&
		near(Math.sqrt(estimate.variance), error ?? Number.NaN) &&
		(df === undefined || near(estimate.degreesOfFreedom, df, 1e-8))
	);
}

function checkPair(
	t: { fail(message: string): unknown },
	baseline: Level,
	challenger: Level,
	truth: Case,
	index: number,
): void {
	const absolute = sure(difference(challenger, baseline));
	if (!agrees(absolute, truth.difference, Math.abs(baseline.raw.value)))
		t.fail(`difference ${index}: ${JSON.stringify(absolute)} ${truth.difference}`);
	// Its degrees of freedom of a lift are those of the difference; ours weigh the parts of the lift's variance.
	const lift = sure(relativeLift(challenger, baseline));
	if (!agrees(lift, truth.lift.slice(0, 2), 1)) t.fail(`lift ${index}: ${JSON.stringify(lift)} ${truth.lift}`);
}

t.test("means, ratios and lifts agree with gbstats on random aggregates", async (t) => {
	for (const [index, truth] of golden.means.entries()) {
		const [baseline, challenger] = truth.arms.map((arm) => sure(meanLevel(sure(meanVectorOf(1, arm)))));
		if (baseline && challenger) checkPair(t, baseline, challenger, truth, index);
	}
	for (const [index, truth] of golden.ratios.entries()) {
		const [baseline, challenger] = truth.arms.map((arm) => sure(ratioLevel(sure(meanVectorOf(2, arm)))));
		if (baseline && challenger) checkPair(t, baseline, challenger, truth, index);
	}
	t.ok(golden.means.length + golden.ratios.length >= 600);
});

t.test("proportions and lifts agree with gbstats, except for its degrees of freedom", async (t) => {
	for (const truth of golden.proportions) {
		const [baseline, challenger] = truth.arms.map(([n, x]) =>
			sure(proportionLevel({ n, mean: x / n, m2: x * (1 - x / n) })),
		);
		if (!baseline || !challenger) continue;
		t.ok(agrees(sure(difference(challenger, baseline)), truth.difference.slice(0, 2), 1));
		t.ok(agrees(sure(relativeLift(challenger, baseline)), truth.lift.slice(0, 2), 1));
	}
});

t.test("CUPED of means and ratios agrees with gbstats at its θ", async (t) => {
	for (const [index, truth] of golden.cuped.entries()) {
		const adjustment = { theta: truth.theta, centre: 0 };
		const [baseline, challenger] = truth.arms.map((arm) => sure(cupedLevel(sure(meanVectorOf(2, arm)), adjustment)));
		if (!baseline || !challenger) continue;
		const absolute = sure(difference(challenger, baseline));
		if (!agrees(absolute, truth.difference, Math.abs(baseline.raw.value)))
			t.fail(`difference ${index} ${JSON.stringify(absolute)} ${truth.difference}`);
		const lift = sure(relativeLift(challenger, baseline));
		t.ok(Math.abs(lift.value - truth.lift[0]) < 1e-9, `lift ${index}`);
		// With the unadjusted effect in the gradient, as there, the standard error is the same to the last digits.
		const plain = sure(
			relativeLift({ ...challenger, value: challenger.raw.value }, { ...baseline, value: baseline.raw.value }),
		);
		t.ok(near(Math.sqrt(plain.variance), truth.lift[1]), `error ${index}`);
		t.ok(near(Math.sqrt(lift.variance), truth.lift[1], 0.1), `error ${index}`);
	}
	for (const [index, truth] of golden.cupedRatios.entries()) {
		const adjustment = { theta: truth.theta, centre: 0 };
		const [baseline, challenger] = truth.arms.map((arm) =>
			sure(cupedRatioLevel(sure(meanVectorOf(4, arm)), adjustment)),
		);
		if (baseline && challenger) checkPair(t, baseline, challenger, truth, index);
	}
});

t.test("post-stratified means and ratios with estimated shares agree with gbstats", async (t) => {
	const check = (truth: StrataCase, k: number, level: (vector: MeanVector) => Level | NoEstimate): void => {
		const shares = sharesOf(truth.strata.map(([a, b]) => a.n + b.n));
		const strata = truth.strata.map(([a, b], s) => ({
			share: shares[s] ?? 0,
			baseline: sure(meanVectorOf(k, a)),
			challenger: sure(meanVectorOf(k, b)),
		}));
		const arm = (name: "baseline" | "challenger"): Level =>
			sure(level(sure(stratifiedMeans(strata.map((stratum) => ({ share: stratum.share, vector: stratum[name] }))))));
		const units = truth.strata.reduce((n, [a, b]) => n + a.n + b.n, 0);
		const [baseline, challenger] = [arm("baseline"), arm("challenger")];
		const absolute = sure(withEstimatedShares(sure(difference(challenger, baseline)), strata, units));
		t.ok(agrees(absolute, truth.difference, Math.abs(baseline.value)), JSON.stringify([absolute, truth.difference]));
		const lift = relativeLift(challenger, baseline);
		// Strata of very different scales can hide the baseline in their noise: then there is no lift.
		if (isNoEstimate(lift)) t.match(lift.reason, /not clearly different from 0/);
		else
			t.ok(agrees(sure(withEstimatedShares(lift, strata, units)), truth.lift, 1), JSON.stringify([lift, truth.lift]));
	};
	for (const truth of golden.stratifiedMeans) check(truth, 1, meanLevel);
	for (const truth of golden.stratifiedRatios) check(truth, 2, ratioLevel);
});

t.test("the clustered variance of a quantile agrees with gbstats", async (t) => {
	for (const { clusters, variance, ...reading } of golden.quantiles) {
		const level = sure(quantileLevel(reading, clusters));
		t.ok(near(level.variance, variance), `${JSON.stringify(reading)} ${level.variance} ${variance}`);
	}
});

const sums = (n: number, sum: number, squares: number): Moments => ({ n, mean: sum / n, m2: squares - sum ** 2 / n });
const mean = (moments: Moments): Level => sure(meanLevel(sure(meanVectorOfMoments(moments))));
const rounded = (value: number, digits = 5): number => Number(value.toFixed(digits));

t.test("estimators agree with vectors published by GrowthBook and by the reference", async (t) => {
	const a = mean(sums(3407, 1396.87, 52377.9767));
	const b = mean(sums(3461, 2422.7, 134698.29));
	const lift = sure(relativeLift(b, a));
	t.equal(rounded(lift.value), 0.70732);
	t.equal(rounded(Math.sqrt(lift.variance)), 0.37879);
	const absolute = sure(difference(b, a));
	t.equal(rounded(absolute.value), 0.29);
	t.equal(rounded(Math.sqrt(absolute.variance)), 0.12478);
	t.ok(near(absolute.degreesOfFreedom, 5841.742032, 1e-9));
	t.ok(near(absolute.value / Math.sqrt(absolute.variance), 2.3240227609, 1e-9));
	const shares = [
		[28, 14],
		[30, 16],
	].map(([n = 0, x = 0]) => sure(proportionLevel({ n, mean: x / n, m2: x * (1 - x / n) }))) as [Level, Level];
	const binary = sure(relativeLift(shares[1], shares[0]));
	t.same([rounded(binary.value), rounded(Math.sqrt(binary.variance), 4)], [0.06667, 0.2717]);
	const wider = sure(relativeLift(b, mean(sums(3000, 1396.87, 52377.9767))));
	t.ok(near(wider.value, 0.5033610858562358, 1e-12));
	t.ok(near(Math.sqrt(wider.variance), 0.3334122146400735, 1e-10));

	const pairs = (y: readonly number[], x: readonly number[]): CoMoments =>
		coMomentsOf(
			2,
			y.map((value, i) => [value, x[i] ?? Number.NaN]),
		);
	const ratio = sure(ratioLevel(sure(meanVectorOf(2, pairs([1, 2, 3, 4, 5, 6], [1, 1, 2, 2, 3, 2])))));
	t.ok(near(ratio.value, 21 / 11, 1e-14));
	t.ok(near(ratio.variance * 6, 0.40620176217471493, 1e-13));
	t.ok(near(Math.sqrt(ratio.variance), 0.2601928010068415, 1e-13));
	const sample = pairs([3, 5, 4, 6, 8, 7], [2, 4, 3, 5, 9, 6]);
	const adjustment = sure(meanAdjustment([sample]));
	t.ok(near(adjustment.theta, 0.7297297297, 1e-9));
	t.ok(near(sure(cupedLevel(sure(meanVectorOf(2, sample)), adjustment)).variance * 6, 0.21621621622, 1e-10));
	// growthbook test_shared_models.py, two arms alike.
	const alike = pairs([2, 1, 5, 3], [0.3, 0.5, 0.9, 22]);
	t.equal(rounded(sure(meanAdjustment([alike, alike])).theta), 0.01864);
	// growthbook test_tests.py, CUPED on a ratio.
	const block = (values: readonly number[], m: readonly number[]): CoMoments => ({
		n: 100,
		means: values.map((sum) => sum / 100),
		m2: m.map((product, index) => {
			const [i, j] = [
				[0, 0],
				[1, 0],
				[1, 1],
				[2, 0],
				[2, 1],
				[2, 2],
				[3, 0],
				[3, 1],
				[3, 2],
				[3, 3],
			][index] as [number, number];
			return product - ((values[i] ?? 0) * (values[j] ?? 0)) / 100;
		}),
	});
	const control = block(
		[485.112236689623, 679.9093275844917, 192.59138069991536, 290.1398399750233],
		[
			2715.484666118136, 3602.146836776702, 4939.424001640236, 1113.6215759318352, 1460.3181079276983, 460.076026390857,
			1559.2878434944676, 2130.9404074446747, 634.239482353647, 920.9461385038898,
		],
	);
	const variation = block(
		[514.7757826608777, 705.4090874383759, 206.94157227402536, 302.54389139107326],
		[
			2994.897482705013, 3918.1561431600717, 5291.36604146392, 1237.0953021125997, 1604.0759503266522,
			514.2903702246757, 1701.0287270040265, 2292.081739775257, 698.4173425817908, 994.4506208125663,
		],
	);
	const byRatio = sure(ratioAdjustment([control, variation]));
	const [c, v] = [control, variation].map((arm) => sure(cupedRatioLevel(sure(meanVectorOf(4, arm)), byRatio))) as [
		Level,
		Level,
	];
	const adjusted = sure(relativeLift(v, c));
	t.same([rounded(adjusted.value, 4), rounded(Math.sqrt(adjusted.variance))], [-0.0007, 0.00391]);
});

t.test("quantiles and CUPED agree with vectors published by GrowthBook", async (t) => {
	const arm = (n: number, value: number, lower: number, upper: number): Level =>
		// One request per unit: (at or below, 1).
		sure(quantileLevel({ quantile: 0.9, value, lower, upper }, { n, means: [0.9, 1], m2: [n * 0.09, 0, 0] }));
	const quantiles = sure(
		difference(
			arm(10861, 7.694499927525767, 7.64180598628119, 7.747193868770344),
			arm(11054, 7.157987489967789, 7.098780136176828, 7.217194843758751),
		),
	);
	t.ok(near(quantiles.value, 0.5365124375579775, 1e-12));
	// Its interval is of the normal law and has (n − 1)/n where the design effect has n/(n − 1).
	const error = (0.6157689162044128 - 0.4572559589115422) / 2 / 1.959963984540054;
	t.ok(near(Math.sqrt(quantiles.variance), error, 2e-4));

	const cuped = (n: number, sum: number, squares: number, before: number, beforeSquares: number): CoMoments => ({
		n,
		means: [sum / n, before / n],
		m2: [squares - sum ** 2 / n, 1 - (sum * before) / n, beforeSquares - before ** 2 / n],
	});
	const arms = [cuped(3000, 1396.87, 52377.9767, 16.87, 527.9767), cuped(3461, 2422.7, 134698.29, 22.7, 1348.29)];
	const adjustment = sure(meanAdjustment(arms));
	const [c, v] = arms.map((sums) => sure(cupedLevel(sure(meanVectorOf(2, sums)), adjustment))) as [Level, Level];
	const lift = sure(relativeLift(v, c));
	t.same([rounded(lift.value), rounded(Math.sqrt(lift.variance))], [0.50338, 0.33341]);
});

t.test("Fieller's set is an interval, the outside of one, or everything", async (t) => {
	const level = (value: number, variance: number): Level => mean({ n: 101, mean: value, m2: variance * 101 * 100 });
	const clear = sure(fiellerSet(level(11, 0.01), level(10, 0.01), 1.96));
	t.equal(clear.kind, "interval");
	if (clear.kind === "interval") {
		const lift = sure(relativeLift(level(11, 0.01), level(10, 0.01)));
		t.ok(Math.abs(clear.lower - (lift.value - 1.96 * Math.sqrt(lift.variance))) < 1e-3);
		// At its ends the contrast lies exactly `critical` standard errors from 0.
		for (const end of [clear.lower, clear.upper]) {
			const contrast = sure(liftContrast(level(11, 0.01), level(10, 0.01), end));
			t.ok(Math.abs(Math.abs(contrast.value) / Math.sqrt(contrast.variance) - 1.96) < 1e-9);
		}
		// The sign of the baseline is not the sign of the lift: −9 is a tenth more than −10.
		const negative = sure(fiellerSet(level(-9, 0.01), level(-10, 0.01), 1.96));
		t.ok(negative.kind === "interval" && negative.lower < 0.1 && negative.upper > 0.1);
	}
	t.equal(sure(fiellerSet(level(10, 0.01), level(0.1, 0.01), 1.96)).kind, "outside");
	t.equal(sure(fiellerSet(level(0.1, 0.01), level(0.05, 0.01), 1.96)).kind, "everything");
	t.match(relativeLift(level(10, 0.01), level(0.3, 0.01)), { reason: /not clearly different from 0/ });
	const contrast = sure(liftContrast(level(11, 0.01), level(10, 0.01), 0.1));
	t.ok(Math.abs(contrast.value) < 1e-12 && near(contrast.variance, 0.01 * (1 + 1.21)));
});

t.test("post-stratification with known shares uses their variance, and θ does not depend on an effect", async (t) => {
	const arm = (n: number, value: number): MeanVector => sure(meanVectorOfMoments({ n, mean: value, m2: 4 * (n - 1) }));
	const strata = [
		{ share: 0.25, vector: arm(100, 10) },
		{ share: 0.75, vector: arm(400, 20) },
	];
	const vector = sure(stratifiedMeans(strata));
	t.equal(vector.means[0], 17.5);
	t.ok(near(vector.covariance[0] ?? 0, 0.25 ** 2 * (4 / 100) + 0.75 ** 2 * (4 / 400), 1e-14));
	t.equal(vector.n, 500);
	t.ok(vector.degreesOfFreedom > 99 && vector.degreesOfFreedom < 498);

	// Two arms with the same line y = 2x, the challenger 100 higher and by chance with larger x.
	const line = (shift: number, from: number): CoMoments =>
		coMomentsOf(
			2,
			[0, 1, 2, 3].map((x) => [2 * (x + from) + shift, x + from]),
		);
	t.ok(near(sure(meanAdjustment([line(0, 0), line(100, 1)])).theta, 2, 1e-12));
	t.equal(
		sure(
			meanAdjustment([
				coMomentsOf(2, [
					[1, 5],
					[2, 5],
				]),
			]),
		).theta,
		0,
		"a constant covariate adjusts nothing",
	);
});

t.test("invalid input of estimators is refused with a reason", async (t) => {
	const good = sure(meanVectorOfMoments({ n: 10, mean: 1, m2: 2 }));
	const level = mean({ n: 10, mean: 1, m2: 2 });
	for (const [bad, words] of [
		[meanVectorOfMoments({ n: 0, mean: 0, m2: 0 }), /no units/],
		[meanVectorOfMoments({ n: 1, mean: 3, m2: 0 }), /one unit/],
		[meanVectorOfMoments({ n: 10, mean: Number.NaN, m2: 0 }), /NaN/],
		[meanVectorOfMoments({ n: -5, mean: 0, m2: 0 }), /negative/],
		[meanVectorOf(2, noCoMoments(2)), /no units/],
		[meanVectorOf(2, { n: 5, means: [1, 2], m2: [1, 9, 1] }), /correlate/],
		[proportionLevel({ n: 10, mean: 1.2, m2: 1 }), /between 0 and 1/],
		// growthbook's proportion of −7 of 4 has a variance of −1.10.
		[proportionLevel({ n: 4, mean: -7 / 4, m2: 0 }), /between 0 and 1/],
		[proportionLevel({ n: 10, mean: 0.5, m2: 0.4 }), /other than 0 and 1/],
		[ratioLevel(sure(meanVectorOf(2, { n: 5, means: [1, 0], m2: [1, 0, 0] }))), /denominator/],
		[cupedRatioLevel(sure(meanVectorOf(4, { ...noCoMoments(4), n: 5 })), { theta: 1, centre: 0 }), /denominator/],
		[meanAdjustment([noCoMoments(2)]), /no units/],
		[meanAdjustment([{ n: 5, means: [1, 2], m2: [1, Number.NaN, 1] }]), /NaN/],
		[ratioAdjustment([{ ...noCoMoments(4), n: 5 }]), /denominator/],
		[difference(level, mean({ n: 10, mean: 1, m2: 0 })), /zero variance in the baseline/],
		[difference(mean({ n: 10, mean: 1, m2: 0 }), level), /zero variance in the challenger/],
		[relativeLift(level, mean({ n: 10, mean: 0, m2: 2 })), /not clearly different/],
		[fiellerSet(level, mean({ n: 10, mean: 1, m2: 0 }), 2), /zero variance/],
		[liftContrast(level, mean({ n: 10, mean: 1, m2: 0 }), 0), /zero variance/],
		[difference(mean({ n: 10, mean: 1e200, m2: 1e300 }), mean({ n: 10, mean: 1, m2: 1 })), undefined],
		[relativeLift(mean({ n: 10, mean: 1e300, m2: 1 }), mean({ n: 10, mean: 1e-300, m2: 1e-320 })), /./],
		[stratifiedMeans([]), /no strata/],
		[stratifiedMeans([{ share: 0.5, vector: good }]), /add up to 0.5/],
		[stratifiedMeans([{ share: Number.NaN, vector: good }]), /between 0 and 1/],
		[stratifiedMeans([{ share: 1, vector: { reason: "there are no units" } }]), /no units.*merge/],
	] as const) {
		if (words === undefined) t.notOk(isNoEstimate(bad), JSON.stringify(bad));
		else t.match(bad, { reason: words });
	}
	const clusters: CoMoments = { n: 1000, means: [1.8, 2], m2: [500, 400, 500] };
	const reading = { quantile: 0.9, value: 5, lower: 4, upper: 6 };
	t.notOk(isNoEstimate(quantileLevel(reading, clusters)));
	for (const [bad, sums, words] of [
		[{ ...reading, quantile: 1 }, clusters, /between 0 and 1/],
		[{ ...reading, value: 7 }, clusters, /neighbours/],
		[{ ...reading, lower: Number.NaN }, clusters, /neighbours/],
		[{ ...reading, upper: Number.POSITIVE_INFINITY }, clusters, /neighbours/],
		[{ ...reading, value: 4, upper: 4 }, clusters, /too coarse/],
		[{ ...reading, quantile: 0.9999 }, clusters, /too few requests/],
		[reading, { ...clusters, means: [2, 2] }, /one side/],
		[reading, noCoMoments(2), /no units/],
	] as const)
		t.match(quantileLevel(bad, sums), { reason: words });
	t.equal(bracketOf(0.99, 380), null);
	t.not(bracketOf(0.99, 381), null);
});
