/**
 * Tails far below the mean, where 1 + (x − a)/a loses the digits of x/a. Reference: mpmath at 60 digits,
 * log(gammainc(a, 0, x, regularized=True)) and log(betainc(a, b, 0, x, regularized=True)).
 */

import t from "tap";
import { logBetaCdf } from "../../../../src/infer/statistics/distributions/beta.js";
import { gammaP } from "../formulas.js";

t.test("the lower gamma tail keeps its precision far below the mean", async (t) => {
	for (const [a, x, truth] of [
		[26.3, 2.63e-6, -400.1628095718368],
		[26.3, 2.63e-8, -521.2787829549972],
		[26.3, 1e-9, -607.2684460311558],
		[25, 5e-6, -363.1554261689272],
	] as const)
		t.ok(Math.abs(Math.log(gammaP(a, x)) - truth) < 1e-11, `${a}, ${x}: ${Math.log(gammaP(a, x))}`);
});

t.test("the lower beta tail keeps its precision far below the mean", async (t) => {
	for (const [x, a, b, truth] of [
		[1e-9, 26.3, 50, -498.6459505943865],
		[1e-6, 100, 30, -1315.282208140465],
		[1e-4, 40.5, 2_000, -177.15439647222476],
	] as const)
		t.ok(Math.abs(logBetaCdf(x, a, b) - truth) < 1e-11, `${x}, ${a}, ${b}: ${logBetaCdf(x, a, b)}`);
});
