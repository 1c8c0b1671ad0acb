/**
 * jStat against mpmath: its errors inside the domain that distributions/jstat.ts allows, and its defects outside it,
 * beside our own value and the truth. Both kinds of test fail when an upgrade changes jStat: then measure it again.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import t from "tap";
import { betaCdf } from "../../../../src/infer/statistics/distributions/beta.js";
import { chiSquareSf } from "../../../../src/infer/statistics/distributions/chiSquare.js";
import { logBetaKernel } from "../../../../src/infer/statistics/distributions/incompleteBeta.js";
import { logGammaKernel } from "../../../../src/infer/statistics/distributions/incompleteGamma.js";
import {
	jstatBetaCdf,
	jstatChiSquareCdf,
	jstatNoncentralTCdf,
	jstatNormalCdf,
	jstatNormalQuantile,
	jstatTCdf,
} from "../../../../src/infer/statistics/distributions/jstat.js";
import { normalCdf, normalQuantile } from "../../../../src/infer/statistics/distributions/normal.js";
import { tCdf, tQuantile, tTwoSidedP } from "../../../../src/infer/statistics/distributions/studentT.js";

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

/** The library itself, without the guard. */
const raw = createRequire(import.meta.url)("jstat") as {
	studentt: { cdf(x: number, df: number): number; inv(p: number, df: number): number };
	beta: { cdf(x: number, a: number, b: number): number };
	normal: { cdf(x: number, m: number, s: number): number; inv(p: number, m: number, s: number): number };
	chisquare: { cdf(x: number, df: number): number };
	poisson: { pdf(k: number, rate: number): number };
	binomial: { pdf(k: number, n: number, p: number): number };
	ttest(t: number, n: number, sides: number): number;
};

t.test("what jStat gets wrong at the size of experiments, with ours and the truth", async (t) => {
	/** Name, jStat's number as measured in 1.9.6, the same call now, ours, truth (mpmath). */
	const defects: readonly (readonly [string, number, number, number, number])[] = [
		["P(T ≤ 0), df 1e6", 0.48262968, raw.studentt.cdf(0, 1e6), tCdf(0, 1e6), 0.5],
		["P(T ≤ 0), df 1e7", 0.11865795, raw.studentt.cdf(0, 1e7), tCdf(0, 1e7), 0.5],
		["P(T ≤ 0), df 1e8", -1.4906997, raw.studentt.cdf(0, 1e8), tCdf(0, 1e8), 0.5],
		["P(T ≤ 0.1), df 1e6", 0.53754685, raw.studentt.cdf(0.1, 1e6), tCdf(0.1, 1e6), 0.5398278272539779],
		["t quantile .975, df 1e8", 1.95698387, raw.studentt.inv(0.975, 1e8), tQuantile(0.975, 1e8), 1.95996400826277],
		["I_.5(1e5, 1e5)", 0.49988847, raw.beta.cdf(0.5, 1e5, 1e5), betaCdf(0.5, 1e5, 1e5), 0.5],
		["I_.5(1e6, 1e6)", 0.44040529, raw.beta.cdf(0.5, 1e6, 1e6), betaCdf(0.5, 1e6, 1e6), 0.5],
		["I_.5(1e8, 1e8)", -2.498497, raw.beta.cdf(0.5, 1e8, 1e8), betaCdf(0.5, 1e8, 1e8), 0.5],
		["χ² tail 161.13, df 4", 0, 1 - raw.chisquare.cdf(161.13, 4), chiSquareSf(161.13, 4), 8.366983373719554e-34],
		["Φ(−10)", 0, raw.normal.cdf(-10, 0, 1), normalCdf(-10), 7.61985302416052e-24],
		["Φ⁻¹(1e-20)", -9.1468519, raw.normal.inv(1e-20, 0, 1), normalQuantile(1e-20), -9.26234008979841],
		[
			"Poisson(1000; 1000)",
			Number.NaN,
			raw.poisson.pdf(1_000, 1_000),
			Math.exp(logGammaKernel(1_000, 1_000)) / 1_000,
			0.0126146113487,
		],
		[
			"Binomial(5e5; 1e6, ½)",
			Number.NaN,
			raw.binomial.pdf(5e5, 1e6, 0.5),
			Math.exp(logBetaKernel(0.5, 0.5, 5e5, 5e5)) * (2 / 5e5),
			7.97884361e-4,
		],
	];
	for (const [name, measured, now, ours, truth] of defects) {
		const same = Object.is(now, measured) || Math.abs(now - measured) <= 1e-6 * Math.max(1, Math.abs(measured));
		t.ok(same, `${name}: jStat still says ${now}`);
		t.ok(Math.abs(ours - truth) <= 1e-8 * Math.abs(truth), `${name}: ours ${ours}, truth ${truth}`);
		t.notOk(Math.abs(now - truth) <= 1e-6 * Math.abs(truth), `${name}: jStat is wrong`);
	}
});

t.test("a two-sided p-value formed as 2 · (1 − cdf) is 0 from z = 10.83 on; ours keeps its digits", async (t) => {
	const df = Number.POSITIVE_INFINITY;
	t.equal(2 * (1 - tCdf(10.83, df)), 0);
	t.ok(Math.abs(tTwoSidedP(10.83, df) / 2.481553213559825e-27 - 1) < 1e-13, `${tTwoSidedP(10.83, df)}`);
	t.not(tTwoSidedP(10.83, df), tTwoSidedP(10.84, df), "no ties among strong results");
});
