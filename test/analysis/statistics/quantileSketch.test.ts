import fc from "fast-check";
import t from "tap";
import {
	ACCURACY,
	binOf,
	countUpTo,
	edgeOf,
	LOWEST_VALUE,
	mergeSketches,
	NO_VALUES,
	quantileOf,
	sketchOf,
	sketchSize,
} from "../../../src/analysis/statistics/quantileSketch.js";

const values = fc.array(fc.double({ min: 1e-6, max: 1e9, noNaN: true }), { minLength: 1, maxLength: 300 });
const samples = fc.array(values, { minLength: 3, maxLength: 3 });

t.test("merging is associative and commutative to the last bit, and gives the sketch of all values", async (t) => {
	fc.assert(
		fc.property(samples, ([a = [], b = [], c = []]) => {
			const [x, y, z] = [sketchOf(a), sketchOf(b), sketchOf(c)];
			const left = mergeSketches(mergeSketches(x, y), z);
			t.same(left, mergeSketches(x, mergeSketches(y, z)));
			t.same(left, mergeSketches(z, mergeSketches(y, x)));
			t.same(left, sketchOf([...a, ...b, ...c]));
			t.same(mergeSketches(x, NO_VALUES), x);
		}),
		{ numRuns: 50, seed: 1 },
	);
});

t.test("a quantile is within the stated error of the order statistic of its rank", async (t) => {
	let worst = 0;
	fc.assert(
		fc.property(values, fc.double({ min: 0, max: 1, noNaN: true }), (sample, q) => {
			const sorted = [...sample].sort((a, b) => a - b);
			const exact = Math.max(LOWEST_VALUE, sorted[Math.max(1, Math.ceil(q * sorted.length)) - 1] ?? Number.NaN);
			worst = Math.max(worst, Math.abs(quantileOf(sketchOf(sample), q) / exact - 1));
		}),
		{ numRuns: 2_000, seed: 2 },
	);
	t.ok(worst <= ACCURACY * (1 + 1e-12), `worst ${worst}`);
	t.ok(worst > ACCURACY / 2, "and the statement is no wider than it must be");
});

t.test("ranks of edges are exact", async (t) => {
	fc.assert(
		fc.property(values, fc.integer({ min: -400, max: 1_100 }), (sample, bin) => {
			// A value on an edge may lie one rounding to either side of it.
			const off = sample.filter((value) => Math.abs(value / edgeOf(bin) - 1) > 1e-12);
			const below = off.filter((value) => value <= edgeOf(bin)).length;
			t.equal(
				countUpTo(sketchOf(off), bin),
				edgeOf(bin) < LOWEST_VALUE ? off.filter((value) => value <= LOWEST_VALUE).length : below,
			);
		}),
		{ numRuns: 200, seed: 3 },
	);
});

t.test("nothing, nought and less", async (t) => {
	t.ok(Number.isNaN(quantileOf(NO_VALUES, 0.5)));
	t.ok(Number.isNaN(quantileOf(sketchOf([1]), 1.1)));
	t.equal(sketchSize(NO_VALUES), 0);
	t.equal(binOf(0), binOf(-5));
	t.equal(quantileOf(sketchOf([0, -1, 2]), 0.5), LOWEST_VALUE);
});
