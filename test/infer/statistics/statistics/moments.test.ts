import { readFileSync } from "node:fs";
import fc from "fast-check";
import t from "tap";
import {
	type CoMoments,
	mergeCoMoments,
	momentsAt,
	noCoMoments,
	problemOfCoMoments,
} from "../../../../src/infer/statistics/statistics/coMoments.js";
import {
	type Moments,
	mergeMoments,
	NO_MOMENTS,
	problemOf,
} from "../../../../src/infer/statistics/statistics/moments.js";
import { addRow, addValue, coMomentsOf, covariance, momentsOf, variance } from "../formulas.js";

/** Within 1e-12 of what the values can carry: each of them is known to 1e-16 of itself. */
function agree(a: Moments, b: Moments, largest: number): boolean {
	const spread = Math.sqrt(Math.max(a.m2, b.m2) * a.n) * largest + largest * largest;
	return (
		a.n === b.n &&
		Math.abs(a.mean - b.mean) <= 1e-12 * largest &&
		Math.abs(a.m2 - b.m2) <= 1e-12 * Math.max(a.m2, b.m2) + 1e-14 * spread
	);
}

const value = fc.oneof(
	fc.double({ min: -1e6, max: 1e6, noNaN: true }),
	fc.integer({ min: 0, max: 999 }).map((step) => 1e9 + 0.1 * step),
	fc.constantFrom(0, 1),
);
const sample = fc.array(value, { maxLength: 30 });
const largestOf = (...samples: readonly number[][]): number => Math.max(1, ...samples.flat().map(Math.abs));

t.test("merging moments is exactly commutative, and associative to 1e-12", async (t) => {
	fc.assert(
		fc.property(sample, sample, sample, (x, y, z) => {
			const [a, b, c] = [momentsOf(x), momentsOf(y), momentsOf(z)];
			const ab = mergeMoments(a, b);
			const ba = mergeMoments(b, a);
			if (ab.n !== ba.n || ab.mean !== ba.mean || ab.m2 !== ba.m2) return false;
			return agree(mergeMoments(ab, c), mergeMoments(a, mergeMoments(b, c)), largestOf(x, y, z));
		}),
		{ numRuns: 2000, seed: 11 },
	);
	t.same(mergeMoments(NO_MOMENTS, momentsOf([1, 2])), momentsOf([1, 2]));
	t.same(mergeMoments(momentsOf([1, 2]), NO_MOMENTS), momentsOf([1, 2]));
	t.same(mergeMoments(NO_MOMENTS, NO_MOMENTS), NO_MOMENTS);
});

t.test("merged parts and single values give the moments of the whole sample", async () => {
	fc.assert(
		fc.property(sample, fc.nat({ max: 30 }), (values, cut) => {
			const whole = momentsOf(values);
			const largest = largestOf(values);
			const merged = mergeMoments(momentsOf(values.slice(0, cut)), momentsOf(values.slice(cut)));
			return agree(merged, whole, largest) && agree(values.reduce(addValue, NO_MOMENTS), whole, largest);
		}),
		{ numRuns: 2000, seed: 12 },
	);
});

const row = fc.tuple(value, value, value);
const rows = fc.array(row, { maxLength: 20 });

t.test("co-moments merge as moments do, and contain the moments of each variable", async (t) => {
	fc.assert(
		fc.property(rows, rows, rows, (x, y, z) => {
			const [a, b, c] = [coMomentsOf(3, x), coMomentsOf(3, y), coMomentsOf(3, z)];
			if (JSON.stringify(mergeCoMoments(a, b)) !== JSON.stringify(mergeCoMoments(b, a))) return false;
			const left = mergeCoMoments(mergeCoMoments(a, b), c);
			const right = mergeCoMoments(a, mergeCoMoments(b, c));
			const all = [...x, ...y, ...z];
			return [0, 1, 2].every((i) => {
				const column = all.map((values) => values[i] ?? Number.NaN);
				const largest = largestOf(column);
				return (
					agree(momentsAt(left, i), momentsAt(right, i), largest) &&
					agree(momentsAt(left, i), momentsOf(column), largest)
				);
			});
		}),
		{ numRuns: 300, seed: 13 },
	);
	t.same(mergeCoMoments(noCoMoments(2), noCoMoments(2)), noCoMoments(2));
});

t.test("covariances agree with manual results, also under a large shift", async (t) => {
	const pairs: [number, number][] = [
		[3, 2],
		[5, 4],
		[4, 3],
		[6, 5],
		[8, 9],
		[7, 6],
	];
	const moments = coMomentsOf(2, pairs);
	// Σ(y − 5.5)(x − 29/6) = 22.5 over 5.
	t.ok(Math.abs(covariance(moments, 0, 1) - 4.5) < 1e-14);
	t.equal(covariance(moments, 1, 0), covariance(moments, 0, 1));
	const shifted = coMomentsOf(
		2,
		pairs.map(([y, x]) => [y + 1e9, x + 1e9]),
	);
	t.ok(Math.abs(covariance(shifted, 0, 1) - 4.5) < 1e-6, "a naive Σxy − ΣxΣy/n is wrong by hundreds here");
	t.same(addRow(noCoMoments(2), [3, 2]), { n: 1, means: [3, 2], m2: [0, 0, 0] });
	t.ok(Number.isNaN(covariance(coMomentsOf(2, [[1, 2]]), 0, 1)));
});

t.test("moments keep the variance of a mean far above the spread", async (t) => {
	const values = Array.from({ length: 10 }, (_, i) => 1e9 + 0.1 * i);
	const sum = values.reduce((total, v) => total + v, 0);
	const squares = values.reduce((total, v) => total + v * v, 0);
	const naive = (squares - (sum * sum) / 10) / 9;
	t.ok(Math.abs(naive - 0.0917) > 100, `sums of squares say ${naive}`);
	for (const moments of [
		momentsOf(values),
		values.reduce(addValue, NO_MOMENTS),
		mergeMoments(momentsOf(values.slice(0, 3)), momentsOf(values.slice(3))),
	])
		t.ok(Math.abs(variance(moments) - 0.55 / 6) < 1e-6, `${variance(moments)}`);
	t.ok(Number.isNaN(variance({ n: 1, mean: 3, m2: 0 })));
});

t.test("impossible moments are reported with a reason", async (t) => {
	const good: Moments = { n: 10, mean: 1, m2: 2 };
	t.equal(problemOf(good), "");
	t.equal(problemOf(NO_MOMENTS), "");
	for (const [bad, words] of [
		[{ ...good, n: Number.NaN }, /NaN/],
		[{ ...good, n: Number.POSITIVE_INFINITY }, /Infinity/],
		[{ ...good, n: -1 }, /negative/],
		[{ ...good, n: 1.5 }, /whole/],
		[{ ...good, n: 2 ** 53 }, /whole/],
		[{ ...good, mean: Number.NaN }, /mean is NaN/],
		[{ ...good, mean: Number.NEGATIVE_INFINITY }, /mean is -Infinity/],
		[{ ...good, m2: Number.NaN }, /NaN/],
		[{ ...good, m2: Number.POSITIVE_INFINITY }, /too large/],
		[{ ...good, m2: -1e-9 }, /negative/],
		[{ n: 0, mean: 1, m2: 0 }, /no units/],
		[{ n: 1, mean: 1, m2: 1 }, /one unit/],
	] as const)
		t.match(problemOf(bad), words);
	t.match(problemOf([1e200, -1e200].reduce(addValue, NO_MOMENTS)), /too large/);

	const pair: CoMoments = { n: 3, means: [1, 2], m2: [2, 1, 2] };
	t.equal(problemOfCoMoments(2, pair), "");
	t.equal(problemOfCoMoments(2, noCoMoments(2)), "");
	for (const [bad, words] of [
		[{ ...pair, means: [1] }, /1 means and 3 products/],
		[{ ...pair, m2: [2, 1] }, /2 products/],
		[{ ...pair, m2: [2, 3, 2] }, /correlate/],
		[{ ...pair, m2: [2, Number.NaN, 2] }, /NaN/],
		[{ ...pair, m2: [2, 0, -2] }, /negative/],
		[{ ...pair, n: 2.5 }, /whole/],
		[mergeCoMoments(pair, { n: 1, means: [1, 2, 3], m2: [0, 0, 0, 0, 0, 0] }), /3 means/],
	] as const)
		t.match(problemOfCoMoments(2, bad), words);
});

interface Certified {
	readonly mean: number;
	readonly sd: number;
	readonly values: readonly number[];
}

t.test("moments of NIST's reference data sets agree with certified values", async (t) => {
	const strd = JSON.parse(readFileSync("test/fixtures/statistics/strd.json", "utf8")) as Record<string, Certified>;
	const accuracy = (base: number): number[] => [
		base + 0.2,
		...Array.from({ length: 1000 }, (_, i) => base + (i % 2 === 0 ? 0.1 : 0.3)),
	];
	const sets: Record<string, Certified & { readonly tolerance?: number }> = {
		...strd,
		NumAcc1: { mean: 10_000_002, sd: 1, values: [10_000_001, 10_000_003, 10_000_002] },
		NumAcc2: { mean: 1.2, sd: 0.1, values: accuracy(1) },
		// The values themselves are rounded to 1e-10 and 1e-9 of the standard deviation.
		NumAcc3: { mean: 1_000_000.2, sd: 0.1, values: accuracy(1_000_000), tolerance: 1e-9 },
		NumAcc4: { mean: 10_000_000.2, sd: 0.1, values: accuracy(10_000_000), tolerance: 1e-8 },
	};
	t.equal(Object.keys(sets).length, 8);
	for (const [name, { mean, sd, values: sample, tolerance = 1e-12 }] of Object.entries(sets)) {
		const parts = Array.from({ length: Math.ceil(sample.length / 7) }, (_, i) => sample.slice(7 * i, 7 * i + 7));
		for (const [way, moments] of Object.entries({
			whole: momentsOf(sample),
			"one by one": sample.reduce(addValue, NO_MOMENTS),
			merged: parts.map(momentsOf).reduce(mergeMoments, NO_MOMENTS),
		})) {
			t.ok(Math.abs(moments.mean - mean) <= 1e-14 * Math.abs(mean), `${name} ${way}: mean ${moments.mean}`);
			const found = Math.sqrt(variance(moments));
			t.ok(Math.abs(found - sd) <= tolerance * sd, `${name} ${way}: ${found}, certified ${sd}`);
		}
	}
	// Sums and sums of squares, as gbstats has them, end below zero here.
	const hard = accuracy(10_000_000);
	const sum = hard.reduce((total, value) => total + value, 0);
	const squares = hard.reduce((total, value) => total + value * value, 0);
	t.notOk((squares - (sum * sum) / hard.length) / 1000 > 0.005, "the variance is 0.01");
});
