import { readFileSync } from "node:fs";
import t from "tap";
import { lnGamma } from "../../../../src/infer/statistics/distributions/lnGamma.js";
import { normalIsf, normalSf } from "../../../../src/infer/statistics/distributions/normal.js";
import { difference, relativeLift } from "../../../../src/infer/statistics/estimators/contrast.js";
import {
	type Estimate,
	isNoEstimate,
	type Level,
	type NoEstimate,
} from "../../../../src/infer/statistics/estimators/estimate.js";
import { meanLevel } from "../../../../src/infer/statistics/estimators/level.js";
import { meanVectorOfMoments } from "../../../../src/infer/statistics/estimators/meanVector.js";
import {
	type EventCount,
	proportionsTest,
	scoreStatistic,
} from "../../../../src/infer/statistics/fixed/proportions.js";
import {
	type Alternative,
	type FixedTest,
	type Hypothesis,
	tTest,
} from "../../../../src/infer/statistics/fixed/tTest.js";
import { proportionLevel } from "../formulas.js";

type Pair<T> = readonly [T, T];
interface Golden {
	readonly welch: readonly (Hypothesis & {
		readonly n: Pair<number>;
		readonly mean: Pair<number>;
		readonly variance: Pair<number>;
		readonly statistic: number;
		readonly df: number;
		readonly p: number;
		readonly logP: number;
		readonly lower: number | null;
		readonly upper: number | null;
	})[];
	readonly proportions: readonly (Hypothesis & {
		readonly n: Pair<number>;
		readonly events: Pair<number>;
		readonly statistic: number;
		readonly p: number;
		readonly lower: number | null;
		readonly upper: number | null;
	})[];
	readonly margin: { readonly statsmodels: number; readonly truth: number };
	readonly spotify: readonly {
		readonly law: "t" | "normal";
		readonly n: Pair<number>;
		readonly mean: Pair<number>;
		readonly variance: Pair<number>;
		readonly margin: number | null;
		readonly difference: number;
		readonly p: number;
		readonly lower: number | null;
		readonly upper: number | null;
	}[];
}

const golden = JSON.parse(readFileSync("test/fixtures/statistics/fixed.json", "utf8")) as Golden;

function sure<T extends object>(result: T | NoEstimate): T {
	if (isNoEstimate(result)) throw new Error(result.reason);
	return result;
}

const near = (actual: number | null, truth: number | null, tolerance: number): boolean =>
	actual === null || truth === null
		? actual === truth
		: Math.abs(actual - truth) <= tolerance * Math.max(Math.abs(truth), 1e-300);

const level = (n: number, mean: number, variance: number): Level =>
	sure(meanLevel(sure(meanVectorOfMoments({ n, mean, m2: variance * (n - 1) }))));

const levels = ({
	n,
	mean,
	variance,
}: Omit<Golden["spotify"][number], "law" | "margin" | "difference" | "p" | "lower" | "upper">): Pair<Level> => [
	level(n[0], mean[0], variance[0]),
	level(n[1], mean[1], variance[1]),
];

t.test("Welch's test agrees with scipy, and ln p with mpmath below the range of doubles", async (t) => {
	let farthest = 0;
	for (const [index, truth] of golden.welch.entries()) {
		const [baseline, challenger] = levels(truth);
		const result = sure(tTest(sure(difference(challenger, baseline)), truth));
		const scale = Math.max(Math.abs(truth.mean[0] - truth.mean[1]), 1e-3);
		const good =
			Math.abs(result.statistic - truth.statistic) < 1e-8 * Math.max(1, Math.abs(truth.statistic)) &&
			near(result.degreesOfFreedom, truth.df, 1e-9) &&
			// scipy gives its own p to 1e-10 at best where it is small.
			near(result.pValue, truth.p, 1e-7) &&
			Math.abs(result.logPValue - truth.logP) < 1e-8 * Math.max(1, Math.abs(truth.logP)) &&
			[
				[result.lower, truth.lower],
				[result.upper, truth.upper],
			].every(([a, b]) =>
				a === null || b === null || a === undefined || b === undefined
					? a === b
					: Math.abs(a - b) < 1e-8 * Math.max(scale, Math.abs(b)),
			);
		if (!good) t.fail(`${index} ${JSON.stringify(truth)} ${JSON.stringify(result)}`);
		farthest = Math.min(farthest, result.logPValue);
	}
	t.ok(farthest < -700, `ln p down to ${farthest}`);
});

t.test("the score test of proportions and its interval agree with the closed form at 40 digits", async (t) => {
	for (const [index, truth] of golden.proportions.entries()) {
		const arm = (i: 0 | 1): EventCount => ({ n: truth.n[i], events: truth.events[i] });
		const result = sure(proportionsTest(arm(1), arm(0), truth));
		const good =
			Math.abs(result.statistic - truth.statistic) < 1e-7 * Math.max(1, Math.abs(truth.statistic)) &&
			(truth.p < 1e-250 || near(result.pValue, truth.p, 1e-5)) &&
			[result.lower, result.upper].every((edge, i) => {
				const other = [truth.lower, truth.upper][i] ?? null;
				return edge === null || other === null ? edge === other : Math.abs(edge - other) < 1e-7;
			});
		if (!good) t.fail(`${index} ${JSON.stringify(truth)} ${JSON.stringify(result)}`);
	}
	t.equal(golden.proportions.length, 300);
});

t.test("Welch and z tests with non-inferiority margins agree with spotify-confidence", async (t) => {
	for (const [index, truth] of golden.spotify.entries()) {
		const [baseline, challenger] = levels(truth);
		const estimate = sure(difference(challenger, baseline));
		const used: Estimate = truth.law === "t" ? estimate : { ...estimate, degreesOfFreedom: Number.POSITIVE_INFINITY };
		// Its margin is a share of the baseline; "increase": more is better.
		const hypothesis: Hypothesis =
			truth.margin === null
				? { alternative: "two-sided", nullValue: 0, alpha: 0.05 }
				: { alternative: "greater", nullValue: -truth.margin * truth.mean[0], alpha: 0.05 };
		const result = sure(tTest(used, hypothesis));
		const bound = (ours: number | null, theirs: number | null): boolean =>
			ours === null || theirs === null ? ours === theirs : Math.abs(ours - theirs) < 1e-8;
		const good =
			Math.abs(estimate.value - truth.difference) < 1e-9 &&
			(truth.p < 1e-250 || near(result.pValue, truth.p, 1e-6)) &&
			bound(result.lower, truth.lower) &&
			bound(result.upper, truth.upper);
		if (!good) t.fail(`${index} ${JSON.stringify(truth)} ${JSON.stringify(result)}`);
	}
	t.equal(golden.spotify.length, 300);
});

const rounded = (value: number | null, digits = 5): number | null =>
	value === null ? null : Number(value.toFixed(digits));

t.test("fixed tests agree with vectors published by GrowthBook", async (t) => {
	const sums = (n: number, sum: number, squares: number): Level =>
		level(n, sum / n, (squares - sum ** 2 / n) / (n - 1));
	const b = sums(3461, 2422.7, 134698.29);
	const a = sums(3407, 1396.87, 52377.9767);
	const test = (estimate: Estimate, alternative: Alternative): FixedTest =>
		sure(tTest(estimate, { alternative, nullValue: 0, alpha: 0.05 }));
	const lift = test(sure(relativeLift(b, a)), "two-sided");
	// Its degrees of freedom of a lift are the difference's (5841.7); the t quantiles of ours differ in the sixth digit.
	t.ok(near(lift.lower, -0.03526, 1e-3) && near(lift.upper, 1.44989, 1e-4) && near(lift.pValue, 0.06191, 3e-4));
	const absolute = test(sure(difference(b, a)), "two-sided");
	t.same(
		[absolute.lower, absolute.upper, absolute.pValue].map((x) => rounded(x)),
		[0.04538, 0.53462, 0.02016],
	);
	t.ok(near(absolute.pValue, 0.0201584026, 1e-8));
	const early = sums(3000, 1396.87, 52377.9767);
	const greater = test(sure(difference(b, early)), "greater");
	t.ok(near(greater.pValue, 0.03554272489873023, 1e-9) && near(greater.lower, 0.020791480063255735, 1e-9));
	t.equal(greater.upper, null);
	const less = test(sure(difference(b, early)), "less");
	t.ok(near(less.pValue, 0.9644572751012698, 1e-10) && near(less.upper, 0.44796185327007765, 1e-9));
	const share = (n: number, x: number): Level => sure(proportionLevel({ n, mean: x / n, m2: x * (1 - x / n) }));
	const binary = sure(relativeLift(share(30, 16), share(28, 14)));
	// With its degrees of freedom, of n − 1 each (proportions are normal here).
	const asThere = test({ ...binary, degreesOfFreedom: 55.64 }, "two-sided");
	t.same(
		[asThere.lower, asThere.upper, asThere.pValue].map((x) => rounded(x, 3)),
		[-0.478, 0.611, 0.807],
	);
});

t.test("extreme p-values are never 0 and keep their order", async (t) => {
	const at = (z: number): FixedTest =>
		sure(
			tTest(
				{ ...sure(difference(level(1e6, 0, 1), level(1e6, 0, 1))), value: z * Math.sqrt(2e-6) },
				{ alternative: "two-sided", nullValue: 0, alpha: 0.05 },
			),
		);
	// scipy 2*norm.sf(10.83) = 2.4896e-27, of t with 2e6 degrees 2.4903e-27; 2·(1 − cdf) is 0.
	t.ok(Math.abs(at(10.83).pValue / 2.4896e-27 - 1) < 2e-3, `${at(10.83).pValue}`);
	t.ok(at(50).pValue === 0 && at(50).logPValue < -1200 && at(51).logPValue < at(50).logPValue);
});

t.test("the score test works without any event, unlike the Wald test", async (t) => {
	const nothing = { n: 1900, events: 0 };
	const margin: Hypothesis = { alternative: "less", nullValue: 0.002, alpha: 0.05 };
	const result = sure(proportionsTest(nothing, nothing, margin));
	t.ok(result.pValue < 0.05 && (result.upper ?? 1) < 0.002 && (result.upper ?? 0) > 0.001, JSON.stringify(result));
	t.match(proportionsTest(nothing, nothing, { ...margin, nullValue: 0 }), { reason: /nothing to test/ });
	const all = { n: 50, events: 50 };
	const opposite = sure(
		proportionsTest(all, { n: 50, events: 0 }, { alternative: "two-sided", nullValue: 0, alpha: 0.05 }),
	);
	t.ok(opposite.pValue < 1e-20 && opposite.upper === 1 && (opposite.lower ?? 0) > 0.9, JSON.stringify(opposite));
});

t.test("invalid input of fixed tests is refused with a reason", async (t) => {
	const estimate = sure(difference(level(10, 1, 1), level(10, 1, 1)));
	const two: Hypothesis = { alternative: "two-sided", nullValue: 0, alpha: 0.05 };
	const count: EventCount = { n: 10, events: 3 };
	for (const [bad, words] of [
		[tTest(estimate, { ...two, alpha: 0 }), /alpha is 0/],
		[tTest(estimate, { ...two, alpha: Number.NaN }), /alpha is NaN/],
		[tTest(estimate, { ...two, nullValue: Number.POSITIVE_INFINITY }), /null value/],
		[tTest({ ...estimate, variance: 0 }, two), /standard error/],
		[tTest({ ...estimate, variance: Number.NaN }, two), /standard error/],
		[tTest({ ...estimate, value: Number.NaN }, two), /standard error/],
		[tTest({ ...estimate, degreesOfFreedom: 0 }, two), /degrees of freedom/],
		[proportionsTest({ n: 0, events: 0 }, count, two), /challenger has no units/],
		[proportionsTest(count, { n: -1, events: 0 }, two), /baseline's units are -1/],
		[proportionsTest(count, { n: 10, events: 11 }, two), /more events than units/],
		[proportionsTest(count, { n: 10, events: 1.5 }, two), /1.5, not a count/],
		[proportionsTest(count, { n: Number.NaN, events: 1 }, two), /NaN/],
		[proportionsTest(count, count, { ...two, nullValue: 1 }), /cannot be/],
		[proportionsTest(count, count, { ...two, alpha: 1 }), /alpha/],
	] as const)
		t.match(bad, { reason: words });
});

t.test("corrected for skewness, tests of few events keep their level, by exact sums", async (t) => {
	// 12 events are expected in the challenger, which has a twentieth of the baseline's units.
	const [n, m, p] = [2_000, 40_000, 0.006];
	const law = (units: number, from: number, to: number): Map<number, number> => {
		const chances = new Map<number, number>();
		const log = (k: number): number =>
			lnGamma(units + 1) - lnGamma(k + 1) - lnGamma(units - k + 1) + k * Math.log(p) + (units - k) * Math.log1p(-p);
		for (let k = from; k <= to; k++) chances.set(k, Math.exp(log(k)));
		return chances;
	};
	const [ofT, ofC] = [law(n, 10, 60), law(m, 160, 320)];
	const level = (alpha: number, skewness: "ignored" | "corrected"): number => {
		let sum = 0;
		for (const [a, chanceT] of ofT)
			for (const [b, chanceC] of ofC) {
				const line = { slope: 1, offset: 0 };
				const z = scoreStatistic({ n, events: a }, { n: m, events: b }, line, skewness);
				if (z >= normalIsf(alpha)) sum += chanceT * chanceC;
			}
		return sum / alpha;
	};
	for (const [alpha, was] of [
		[0.05, 1.1],
		[0.025, 1.2],
		[0.0125, 1.4],
		[0.0025, 2],
		[0.0005, 2.9],
	] as const) {
		const [before, now] = [level(alpha, "ignored"), level(alpha, "corrected")];
		t.comment(`${alpha}: ${before} times its level, corrected ${now}`);
		t.ok(before > was, `${before}`);
		t.ok(now < 1.06, `${now}`);
	}
});

const ALPHAS = [0.05, 0.0125, 0.0005, 0.0000886];
const SIZES = [
	[100_000, 2_000_000],
	[100_000, 900_000],
	[1_000, 20_000],
	[100_000, 100_000],
] as const;

t.test("a bound corrected for skewness passes the null value exactly if that is rejected", async (t) => {
	const agree = (
		challenger: readonly [number, number],
		baseline: readonly [number, number],
		nullValue: number,
		alpha: number,
	): void => {
		const [a, b] = [challenger, baseline].map(([events, n]) => ({ n, events }));
		if (a === undefined || b === undefined) return;
		for (const [one, other, alternative] of [
			[a, b, "greater"],
			[b, a, "less"],
		] as const) {
			const value = alternative === "greater" ? nullValue : 1 / nullValue;
			const found = proportionsTest(one, other, { alternative, nullValue: value, alpha }, "ratio", "corrected");
			if ("reason" in found) throw new Error(found.reason);
			const { statistic, lower, upper } = found;
			const description = `${one.events} of ${one.n} and ${other.events} of ${other.n}, ${value} at ${alpha}: ${JSON.stringify(found)}`;
			const critical = normalIsf(alpha);
			const agrees =
				alternative === "greater"
					? statistic >= critical === (lower ?? Number.NaN) >= value
					: statistic <= -critical === (upper ?? Number.NaN) <= value;
			if (!agrees) t.fail(description);
		}
	};
	agree([20, 2_000], [40, 40_000], 1, normalSf(3.749551837205833));
	agree([20, 100_000], [40, 2_000_000], 1, normalSf(3.749551837205833));
	agree([11, 100_000], [20, 900_000], 0.9, 0.0005);
	for (const alpha of ALPHAS) agree([11, 4_000], [36, 1_000_000], 1, alpha);
	for (const [n, m] of SIZES)
		for (const b of [10, 15, 40, 200])
			for (let a = 10; a < 200; a += a < 24 ? 2 : 25)
				for (const nullValue of [1, 1.2, 0.9]) for (const alpha of ALPHAS) agree([a, n], [b, m], nullValue, alpha);
	t.pass("all agree");
});

t.test("a bound corrected for skewness is the edge of the accepted region", (t) => {
	const [challenger, baseline] = [
		{ n: 2_000, events: 20 },
		{ n: 40_000, events: 40 },
	];
	const at = (slope: number): number => scoreStatistic(challenger, baseline, { slope, offset: 0 }, "corrected");
	// The estimate is 10. Below it the statistic rises to 4.37 at 1.6, and falls again to 3.35 at 0.7: the null value is in between.
	for (const [critical, from, to] of [
		[at(1) - 1e-3, 3, 10],
		[at(1) + 1e-3, 0.6, 1],
	] as const) {
		const hypothesis = { alternative: "greater", nullValue: 1, alpha: normalSf(critical) } as const;
		const found = proportionsTest(challenger, baseline, hypothesis, "ratio", "corrected");
		if ("reason" in found) throw new Error(found.reason);
		const lower = found.lower ?? 0;
		t.ok(lower > from && lower < to, `${lower}`);
		t.ok(Math.abs(at(lower) - critical) < 1e-6);
		for (let value = lower + 1e-3; value < to; value += 0.01) if (at(value) >= critical) t.fail(`${value} is rejected`);
	}
	t.end();
});
