import t from "tap";
import { logOneSided } from "../../../../src/infer/statistics/sequential/betaBinomial.js";
import {
	quantileBounds,
	quantilePValue,
	type RankCounts,
} from "../../../../src/infer/statistics/sequential/quantileSequence.js";
import { random } from "../random.js";

const TUNING = { alpha: 0.05, tunedAt: 2_000 };

function counts(values: readonly number[], thresholds?: readonly number[], rankError = 0): RankCounts {
	const sorted = [...values].sort((x, y) => x - y);
	const at = thresholds ?? [...new Set(sorted)];
	let below = 0;
	const points = at.map((value) => {
		while ((sorted[below] ?? Number.POSITIVE_INFINITY) <= value) below += 1;
		return { value, atMost: below };
	});
	return { n: values.length, points, rankError };
}

t.test("a step of the one-sided quantile martingale has mean at most 1 under the null", async (t) => {
	for (const q of [0.5, 0.99])
		for (const share of [0, q / 2, q]) {
			const e = (sum: number): number => Math.exp(logOneSided("above", { n: 1, sum }, q, { a: 3, b: 2 }));
			t.ok((1 - share) * e(0) + share * e(1) <= 1 + 1e-12);
			const f = (sum: number): number => Math.exp(logOneSided("below", { n: 1, sum }, q, { a: 3, b: 2 }));
			t.ok((1 - (1 - share)) * f(0) + (1 - share) * f(1) <= 1 + 1e-12 || 1 - share < q);
		}
});

t.test("an upper bound of p99 needs about 460 values", async (t) => {
	const first = (tunedAt: number): number => {
		for (let n = 1; ; n++) {
			const result = quantileBounds({ n, points: [{ value: 1, atMost: n }], rankError: 0 }, 0.99, {
				alpha: 0.05,
				tunedAt,
			});
			if ("upper" in result && result.upper !== null) return n;
		}
	};
	t.comment(`tuned at 460: ${first(460)}, at 2,000: ${first(2_000)}, at 10,000: ${first(10_000)}`);
	t.ok(first(460) <= 460 && first(460) >= 299, "0.99^n must fall below 5 % at the least");
	t.same(quantileBounds({ n: 0, points: [], rankError: 0 }, 0.99, TUNING), { lower: null, upper: null });
	t.same(quantileBounds({ n: 200, points: [{ value: 3, atMost: 200 }], rankError: 0 }, 0.5, TUNING), {
		lower: null,
		upper: 3,
	});
});

t.test("a sketch's rank error widens quantile bounds, and ties have no effect", async (t) => {
	const values = Array.from({ length: 4_000 }, (_, index) => index + 1);
	const exact = quantileBounds(counts(values), 0.9, TUNING);
	const sketch = quantileBounds({ ...counts(values), rankError: 0.01 }, 0.9, TUNING);
	t.ok("upper" in exact && "upper" in sketch && exact.lower !== null && exact.upper !== null);
	if (!("upper" in exact && "upper" in sketch)) return;
	t.ok(exact.lower !== null && exact.lower > 3_500 && exact.lower < 3_600);
	t.ok(exact.upper !== null && exact.upper > 3_600 && exact.upper < 3_700);
	t.ok(sketch.lower !== null && Math.abs((exact.lower ?? 0) - sketch.lower - 40) <= 1);
	t.ok(sketch.upper !== null && Math.abs(sketch.upper - (exact.upper ?? 0) - 40) <= 1);
	// Rounded down to tens, as coarse counts; 90 % exactly tied at one value.
	const tied = quantileBounds(counts(values.map((value) => (value <= 3_700 ? 10 : value))), 0.9, TUNING);
	t.ok("upper" in tied && tied.lower === null && tied.upper === 10, JSON.stringify(tied));
	const p = quantilePValue("different", { ...counts(values), rankError: 0.02 }, counts(values), 0.9, TUNING);
	t.same(p, { p: 1 });
});

t.test("the one-sided test finds the slower arm, and by more than a margin", async (t) => {
	const thresholds = Array.from({ length: 400 }, (_, index) => 1 + index);
	const base = Array.from({ length: 3_000 }, (_, index) => 100 * ((index + 0.5) / 3_000));
	const slow = counts(
		base.map((value) => 1.5 * value),
		thresholds,
	);
	const fast = counts(base, thresholds);
	const p = (claim: "above" | "below" | "different", a: RankCounts, b: RankCounts): number => {
		const result = quantilePValue(claim, a, b, 0.95, TUNING);
		return "p" in result ? result.p : Number.NaN;
	};
	t.ok(p("above", slow, fast) < 1e-6 && p("below", slow, fast) === 1);
	t.ok(p("below", fast, slow) < 1e-6 && p("above", fast, slow) === 1);
	t.ok(p("different", slow, fast) < 1e-6 && p("different", fast, fast) === 1);
	// The margin is in the baseline's thresholds: more than 20 % slower yes, more than 60 % no.
	const shrunk = (margin: number): RankCounts =>
		counts(
			base,
			thresholds.map((value) => value / (1 + margin)),
		);
	t.ok(p("above", slow, shrunk(0.2)) < 1e-6);
	t.equal(p("above", slow, shrunk(0.6)), 1);
	t.ok(p("below", slow, shrunk(0.8)) < 1e-3);
});

t.test("invalid counts give a reason", async (t) => {
	const good = counts([1, 2, 3]);
	for (const bad of [
		{ ...good, n: -1 },
		{ ...good, n: Number.NaN },
		{ ...good, n: 2 },
		{ ...good, rankError: Number.NaN },
		{ ...good, rankError: -0.1 },
		{ ...good, points: [{ value: Number.NaN, atMost: 1 }] },
		{ ...good, points: [...good.points].reverse() },
		{ ...good, points: [{ value: 1, atMost: -1 }] },
	]) {
		t.ok("reason" in quantileBounds(bad, 0.5, TUNING), JSON.stringify(bad));
		t.ok("reason" in quantilePValue("above", good, bad, 0.5, TUNING));
	}
	t.ok("reason" in quantilePValue("different", good, counts([1, 2]), 0.5, TUNING));
	for (const q of [0, 1, Number.NaN]) t.ok("reason" in quantileBounds(good, q, TUNING));
	t.ok("reason" in quantileBounds(good, 0.5, { alpha: 0.6, tunedAt: 10 }));
	t.ok("reason" in quantileBounds(good, 0.5, { alpha: 0.05, tunedAt: 0 }));
});

t.test("quantile bounds and test with 20 looks err in at most alpha of the runs", async (t) => {
	const next = random(11);
	const thresholds = Array.from({ length: 60 }, (_, index) => 0.1 * 1.15 ** index);
	const draw = (): number => Math.round(10 * -Math.log(1 - next())) / 10;
	const q = 0.9;
	// Rounded to tenths: the smallest value with P(X ≤ value) ≥ 0.9.
	const truth = 2.3;
	const [alpha, runs] = [0.1, 80];
	const tuning = { alpha, tunedAt: 300 };
	let [low, high, different, above] = [0, 0, 0, 0];
	for (let run = 0; run < runs; run++) {
		const [a, b]: [number[], number[]] = [[], []];
		const hit = { low: false, high: false, different: false, above: false };
		for (let look = 0; look < 20; look++) {
			for (let i = 0; i < 20; i++) a.push(draw());
			for (let i = 0; i < 40; i++) b.push(draw());
			const bounds = quantileBounds(counts(a), q, tuning);
			if ("lower" in bounds) {
				hit.low ||= bounds.lower !== null && bounds.lower > truth;
				hit.high ||= bounds.upper !== null && bounds.upper < truth;
			}
			const [t1, t2] = [counts(a, thresholds), counts(b, thresholds)];
			const p = quantilePValue("different", t1, t2, q, tuning);
			hit.different ||= "p" in p && p.p <= alpha;
			const one = quantilePValue("above", t1, t2, q, tuning);
			hit.above ||= "p" in one && one.p <= alpha;
		}
		low += Number(hit.low);
		high += Number(hit.high);
		different += Number(hit.different);
		above += Number(hit.above);
	}
	t.comment(`of ${runs}: low ${low}, high ${high}, different ${different}, above ${above}`);
	// 16 of 80 lies 3 standard deviations above 10 %.
	for (const errors of [low, high, different, above]) t.ok(errors <= 16, `${errors}`);
});
