/**
 * jStat against mpmath: its errors inside the domain that distributions/jstat.ts allows, and its defects outside it,
 * beside our own value and the truth. Both kinds of test fail when an upgrade changes jStat: then measure it again.
 */
import { readFileSync } from "node:fs";
import t from "tap";
import {
	jstatBetaCdf,
	jstatChiSquareCdf,
	jstatNoncentralTCdf,
	jstatNormalCdf,
	jstatNormalQuantile,
	jstatTCdf,
} from "../../../../src/infer/statistics/distributions/jstat.js";

type Rows<K extends string> = readonly Readonly<Record<K, number>>[];
const golden = JSON.parse(readFileSync("test/fixtures/statistics/distributions.json", "utf8")) as {
	readonly normal: Rows<"x" | "cdf">;
	readonly normalQuantile: Rows<"p" | "x">;
	readonly studentT: Rows<"t" | "df" | "cdf">;
	readonly beta: Rows<"a" | "b" | "x" | "cdf">;
	readonly chiSquare: Rows<"x" | "df" | "cdf">;
	readonly noncentralT: Rows<"t" | "df" | "shift" | "cdf">;
};

/** Largest |f − truth| over the rows. */
function worst<R>(rows: readonly R[], error: (row: R) => number): number {
	return Math.max(...rows.map((row) => Math.abs(error(row))));
}

t.test("inside its domain jStat keeps the errors that were measured", async (t) => {
	const student = golden.studentT.filter(({ df }) => df >= 1 && df <= 20_000);
	const beta = golden.beta.filter(({ a, b }) => a >= 0.5 && b >= 0.5 && a + b <= 20_000);
	const normal = golden.normal.filter(({ x }) => Math.abs(x) < 6);
	const quantile = golden.normalQuantile.filter(({ p }) => p >= 1e-9);
	const chiSquare = golden.chiSquare.filter(({ df }) => df >= 1 && df <= 1e5);
	t.ok(student.length > 100 && beta.length > 50 && normal.length > 20 && quantile.length > 8 && chiSquare.length > 8);
	const measured = {
		t: [worst(student, ({ t, df, cdf }) => jstatTCdf(t, df) - cdf), 1e-7],
		beta: [worst(beta, ({ a, b, x, cdf }) => jstatBetaCdf(x, a, b) - cdf), 1e-7],
		normal: [worst(normal, ({ x, cdf }) => jstatNormalCdf(x) - cdf), 1e-7],
		quantile: [worst(quantile, ({ p, x }) => jstatNormalQuantile(p) - x), 1e-5],
		chiSquare: [worst(chiSquare, ({ x, df, cdf }) => jstatChiSquareCdf(x, df) - cdf), 1e-7],
		noncentralT: [worst(golden.noncentralT, ({ t, df, shift, cdf }) => jstatNoncentralTCdf(t, df, shift) - cdf), 1e-8],
	} as const;
	for (const [name, [error, allowed]] of Object.entries(measured))
		t.ok(error <= allowed, `${name}: ${error} of ${allowed}`);
	t.ok(Math.abs(jstatNoncentralTCdf(2, 20, 2.8) - 0.21558694278542) < 1e-8);
});

t.test("outside its domain jStat is not asked", async (t) => {
	for (const outside of [
		() => jstatTCdf(0, 20_001),
		() => jstatTCdf(Number.NaN, 5),
		() => jstatBetaCdf(0.5, 1e5, 1e5),
		() => jstatBetaCdf(1.1, 2, 2),
		() => jstatNormalCdf(-10),
		() => jstatNormalCdf(Number.NaN),
		() => jstatNormalQuantile(1e-20),
		() => jstatNormalQuantile(0),
		() => jstatChiSquareCdf(5, 1e6),
		() => jstatNoncentralTCdf(2, 1e5, 1),
		() => jstatNoncentralTCdf(2, 20, 9),
	])
		t.throws(outside, { code: "invalid-argument" });
});
