/**
 * Distribution functions agree with mpmath at 50 digits (test/fixtures/statistics/distributions.py): relative error at most
 * 1e-10, and 1e-8 for probabilities below 1e-30.
 */

import { readFileSync } from "node:fs";
import t from "tap";
import { betaQuantile, logBetaCdf, logBetaSf } from "../../../../src/infer/statistics/distributions/beta.js";
import { chiSquareSf, logChiSquareSf } from "../../../../src/infer/statistics/distributions/chiSquare.js";
import { gammaQ, logGammaQ } from "../../../../src/infer/statistics/distributions/gamma.js";
import {
	logNormalSf,
	normalCdf,
	normalIsf,
	normalIsfLog,
	normalQuantile,
	normalSf,
} from "../../../../src/infer/statistics/distributions/normal.js";
import { logTSf, tIsf, tSf, tTwoSidedP } from "../../../../src/infer/statistics/distributions/studentT.js";
import {
	betaCdf,
	betaIsf,
	betaSf,
	chiSquareCdf,
	gammaP,
	logGammaP,
	logNormalCdf,
	tCdf,
	tQuantile,
} from "../formulas.js";

type Rows<K extends string> = readonly Readonly<Record<K, number>>[];

interface Golden {
	readonly normal: Rows<"x" | "cdf" | "sf" | "logSf">;
	readonly normalQuantile: Rows<"p" | "x">;
	readonly studentT: Rows<"t" | "df" | "sf" | "cdf" | "logSf">;
	readonly studentTQuantile: Rows<"q" | "df" | "t">;
	readonly beta: Rows<"a" | "b" | "x" | "cdf" | "sf" | "logTail">;
	readonly gamma: Rows<"a" | "x" | "p" | "q" | "logTail">;
	readonly chiSquare: Rows<"x" | "df" | "cdf" | "sf" | "logSf">;
}

const golden = JSON.parse(readFileSync("test/fixtures/statistics/distributions.json", "utf8")) as Golden;

const FAR = 1e-30;
/** Below it a double itself has fewer than ten digits. */
const SUBNORMAL = 1e-305;

/** The worst error of many comparisons as a share of what is allowed; one assertion for all of them. */
class Worst {
	private share = 0;
	private where = "none";
	count = 0;

	value(actual: number, truth: number, row: object): void {
		if (truth < SUBNORMAL) this.note(actual >= 0 && actual < 2 * SUBNORMAL ? 0 : 1e9, actual, row);
		else this.relative(actual, truth, Math.abs(truth) < FAR ? 1e-8 : 1e-10, row);
	}

	/** Logarithms and quantiles, which have no far tail. */
	relative(actual: number, truth: number, allowed: number, row: object): void {
		if (actual === truth) this.note(0, actual, row);
		else this.note(Math.abs(actual - truth) / Math.max(Number.MIN_VALUE, Math.abs(truth)) / allowed, actual, row);
	}

	private note(share: number, actual: number, row: object): void {
		this.count++;
		if (share <= this.share) return;
		this.share = Number.isNaN(share) ? Number.POSITIVE_INFINITY : share;
		this.where = `${actual} for ${JSON.stringify(row)}`;
	}

	check(test: Pick<typeof t, "ok">, what: string, atLeast: number): void {
		test.ok(this.count >= atLeast, `${what}: ${this.count} comparisons`);
		test.ok(this.share <= 1, `${what}: worst error ${this.share.toPrecision(2)} of what is allowed, ${this.where}`);
	}
}

t.test("normal tails, logarithms and quantiles agree with mpmath", async (t) => {
	const worst = new Worst();
	for (const row of golden.normal) {
		worst.value(normalCdf(row.x), row.cdf, row);
		worst.value(normalSf(row.x), row.sf, row);
		worst.relative(logNormalSf(row.x), row.logSf, 1e-13, row);
		worst.relative(logNormalCdf(-row.x), row.logSf, 1e-13, row);
		if (row.logSf < -0.7) worst.relative(normalIsfLog(row.logSf), row.x, 1e-12, row);
	}
	for (const row of golden.normalQuantile) {
		worst.relative(normalQuantile(row.p), row.x, 1e-12, row);
		worst.relative(normalIsf(row.p), -row.x, 1e-12, row);
	}
	worst.check(t, "normal", 240);
});

t.test("Student's t agrees with mpmath for df from 0.05 to 1e10", async (t) => {
	const worst = new Worst();
	for (const row of golden.studentT) {
		worst.value(tSf(row.t, row.df), row.sf, row);
		worst.value(tCdf(row.t, row.df), row.cdf, row);
		worst.value(tCdf(-row.t, row.df), row.sf, row);
		worst.value(tTwoSidedP(-row.t, row.df), 2 * row.sf, row);
		worst.relative(logTSf(row.t, row.df), row.logSf, 1e-12, row);
		// A tail within 1e-7 of ½ does not determine t to ten digits.
		if (row.sf > 1e-290 && row.t > 1e-5) worst.relative(tIsf(row.sf, row.df), row.t, 1e-10, row);
	}
	for (const row of golden.studentTQuantile) {
		worst.relative(tIsf(row.q, row.df), row.t, 1e-10, row);
		worst.relative(tQuantile(row.q, row.df), -row.t, 1e-10, row);
	}
	worst.check(t, "t", 1_400);
});

t.test("beta tails and quantiles agree with mpmath for parameters from 1e-3 to 1e9", async (t) => {
	const worst = new Worst();
	for (const row of golden.beta) {
		const { a, b, x } = row;
		worst.value(betaCdf(x, a, b), row.cdf, row);
		worst.value(betaSf(x, a, b), row.sf, row);
		// 1 − (1 − x) is x only for some doubles.
		if (1 - (1 - x) === x) worst.value(betaCdf(1 - x, b, a), row.sf, row);
		worst.relative(Math.min(logBetaCdf(x, a, b), logBetaSf(x, a, b)), row.logTail, 1e-11, row);
		const tail = Math.min(row.cdf, row.sf);
		// Where x hardly changes the probability, the probability does not determine x to ten digits.
		if (tail < 1e-290 || Math.min(a, b) < 0.1) continue;
		worst.relative(row.cdf < row.sf ? betaQuantile(tail, a, b) : betaIsf(tail, a, b), x, 1e-10, row);
	}
	worst.check(t, "beta", 600);
});

t.test("gamma tails and quantiles agree with mpmath for shapes from 1e-3 to 1e10", async (t) => {
	const worst = new Worst();
	for (const row of golden.gamma) {
		const { a, x } = row;
		worst.value(gammaP(a, x), row.p, row);
		worst.value(gammaQ(a, x), row.q, row);
		worst.relative(Math.min(logGammaP(a, x), logGammaQ(a, x)), row.logTail, 1e-11, row);
	}
	worst.check(t, "gamma", 450);
});

t.test("chi-square tails agree with mpmath", async (t) => {
	const worst = new Worst();
	for (const row of golden.chiSquare) {
		worst.value(chiSquareCdf(row.x, row.df), row.cdf, row);
		worst.value(chiSquareSf(row.x, row.df), row.sf, row);
		worst.relative(logChiSquareSf(row.x, row.df), row.logSf, 1e-12, row);
	}
	worst.check(t, "chi-square", 30);
});
