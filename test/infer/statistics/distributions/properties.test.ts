/** Properties of distributions for all arguments: tails that sum to 1, monotonicity, symmetry, inverses, and invalid input. */

import fc from "fast-check";
import t from "tap";
import { betaPoint, betaQuantile } from "../../../../src/infer/statistics/distributions/beta.js";
import { chiSquareSf } from "../../../../src/infer/statistics/distributions/chiSquare.js";
import { gammaQ } from "../../../../src/infer/statistics/distributions/gamma.js";
import { betaFraction } from "../../../../src/infer/statistics/distributions/incompleteBeta.js";
import { gammaFraction } from "../../../../src/infer/statistics/distributions/incompleteGamma.js";
import {
	normalCdf,
	normalIsf,
	normalIsfLog,
	normalPdf,
	normalQuantile,
	normalSf,
} from "../../../../src/infer/statistics/distributions/normal.js";
import { logTPdf, logTSf, tIsf, tSf, tTwoSidedP } from "../../../../src/infer/statistics/distributions/studentT.js";
import { betaCdf, betaIsf, betaSf, gammaP, logBetaPdf, tCdf, tQuantile } from "../formulas.js";

const INF = Number.POSITIVE_INFINITY;
/** 10^lo … 10^hi, evenly on the logarithm. */
const scale = (lo: number, hi: number) => fc.double({ min: lo, max: hi, noNaN: true }).map((e) => 10 ** e);
const unit = fc.double({ min: 1e-12, max: 1 - 1e-12, noNaN: true });
const near = (a: number, b: number, relative: number) => a === b || Math.abs(a - b) <= relative * Math.abs(b);

t.test("the two tails of a distribution sum to 1 for all parameters", async () => {
	fc.assert(
		fc.property(scale(-3, 9), scale(-3, 9), unit, (a, b, p) => {
			// A point where both tails matter, and one anywhere.
			const x = betaQuantile(p, a, b);
			return [x, p].every((x) => near(betaCdf(x, a, b) + betaSf(x, a, b), 1, 1e-14));
		}),
	);
	fc.assert(fc.property(scale(-3, 10), scale(-3, 10), (a, x) => near(gammaP(a, x) + gammaQ(a, x), 1, 1e-14)));
	fc.assert(fc.property(scale(-3, 11), scale(-9, 9), (df, x) => near(tCdf(x, df) + tSf(x, df), 1, 1e-14)));
});

t.test("a beta quantile at the far end keeps the precision of the opposite tail", (t) => {
	// I_x(1, b) = 1 − (1 − x)^b, so the median's 1 − x is 2^(−1/b); fast-check once found that it did not converge.
	const { x, y } = betaPoint(true, Math.log(0.5), 1, 0.001);
	t.equal(x, 1);
	t.ok(near(y, 2 ** -1_000, 1e-12), String(y));
	t.ok(near(betaIsf(0.5, 0.001, 1), 2 ** -1_000, 1e-12));
	t.equal(betaQuantile(0.49975654700502725, 1, 0.0010027286172247616), 1);
	t.end();
});

t.test("the beta function satisfies its reflection, and t and normal are symmetric to the last bit", async () => {
	fc.assert(
		fc.property(scale(-3, 9), scale(-3, 9), fc.integer({ min: 1, max: 1023 }), (a, b, k) =>
			near(betaCdf(k / 1024, a, b), betaSf(1 - k / 1024, b, a), 1e-9),
		),
	);
	fc.assert(
		fc.property(scale(-3, 11), scale(-9, 3), (df, x) => tCdf(-x, df) === tSf(x, df) && normalCdf(-x) === normalSf(x)),
	);
});

t.test("distribution functions are monotone", async () => {
	// Neighbours may differ by rounding; steps here are far above it.
	// Below -6 the normal tail is so near 1 that a step of 1e-6 is less than a double can show.
	const step = fc.double({ min: 1e-6, max: 1, noNaN: true });
	fc.assert(
		fc.property(scale(-3, 9), scale(-3, 9), unit, step, (a, b, x, s) => {
			const y = x + (1 - x) * s;
			return betaCdf(y, a, b) >= betaCdf(x, a, b) - 1e-15 && betaSf(y, a, b) <= betaSf(x, a, b) + 1e-15;
		}),
	);
	fc.assert(fc.property(scale(-2, 10), scale(-6, 4), step, (df, x, s) => tSf(x * (1 + s), df) <= tSf(x, df)));
	fc.assert(fc.property(scale(-3, 10), scale(-3, 10), step, (a, x, s) => gammaQ(a, x * (1 + s)) <= gammaQ(a, x)));
	fc.assert(
		fc.property(fc.double({ min: -38, max: 38, noNaN: true }), step, (x, s) => normalSf(x + s) < normalSf(x) || x < -6),
	);
});

t.test("distribution functions invert their quantiles in both tails", async () => {
	const p = fc.oneof(unit, scale(-280, -1));
	fc.assert(
		fc.property(p, (p) => near(normalCdf(normalQuantile(p)), p, 1e-10) && near(normalSf(normalIsf(p)), p, 1e-10)),
	);
	fc.assert(
		fc.property(p, scale(-3, 10), (p, df) => {
			const x = tQuantile(p, df);
			return !Number.isFinite(x) || near(tCdf(x, df), p, 1e-10);
		}),
	);
	fc.assert(
		fc.property(scale(-280, -0.31), scale(-0.3, 9), scale(-0.3, 9), (q, a, b) => {
			// Far in a tail x itself is too coarse: one unit in its last place moves the tail by this much, relatively.
			const x = betaQuantile(q, a, b);
			const steep = x < 1e-300 ? 1 : Math.exp(logBetaPdf(x, a, b)) * x * 1e-15;
			const y = betaIsf(q, a, b);
			const steepAbove = y === 1 ? 1 : Math.exp(logBetaPdf(y, a, b)) * y * 1e-15;
			return (
				Math.abs(betaCdf(x, a, b) - q) <= 1e-10 * q + steep && Math.abs(betaSf(y, a, b) - q) <= 1e-10 * q + steepAbove
			);
		}),
	);
});

t.test("distributions have the right limits at the ends of their support and for extreme arguments", async (t) => {
	t.same([normalCdf(-INF), normalSf(-INF), normalSf(INF), normalPdf(INF)], [0, 1, 0, 0]);
	t.same([normalQuantile(0), normalQuantile(1), normalQuantile(0.5), normalIsf(0)], [-INF, INF, 0, INF]);
	t.ok(near(normalIsfLog(-1e300), Math.sqrt(2e300), 1e-15) && normalIsfLog(0) === -INF && normalIsfLog(-INF) === INF);
	t.same([tCdf(-INF, 3), tSf(-INF, 3), tSf(0, 3), tSf(0, 1e10), tTwoSidedP(0, 7)], [0, 1, 0.5, 0.5, 1]);
	t.same([tQuantile(0, 3), tQuantile(1, 3), tQuantile(0.5, 3), tIsf(0, 3)], [-INF, INF, 0, INF]);
	t.equal(tSf(2, INF), normalSf(2), "df = ∞ is the normal");
	t.equal(tQuantile(0.9, INF), normalQuantile(0.9));
	t.ok(near(tSf(1e200, 0.5), Math.exp(logTSf(1e200, 0.5)), 1e-12) && tSf(1e200, 0.5) > 0, "a tail of 1e-100");
	t.ok(near(tSf(0.999e150, 1), tSf(1.001e150, 1), 0.003), "no step where t² leaves the doubles");
	t.ok(Math.abs(logTPdf(0, 1) + Math.log(Math.PI)) < 1e-14);
	t.same([betaCdf(0, 2, 3), betaSf(0, 2, 3), betaCdf(1, 2, 3), betaSf(1.5, 2, 3), betaCdf(-1, 2, 3)], [0, 1, 1, 0, 0]);
	t.same([betaQuantile(0, 2, 3), betaQuantile(1, 2, 3), betaIsf(0, 2, 3), betaIsf(1, 2, 3)], [0, 1, 1, 0]);
	t.same([gammaP(2, 0), gammaQ(2, 0), gammaP(2, INF), gammaQ(2, -1)], [0, 1, 1, 1]);
});

t.test("an argument outside the domain gives NaN", async (t) => {
	const nan = Number.NaN;
	const bad: Record<string, readonly number[]> = {
		normal: [
			normalCdf(nan),
			normalSf(nan),
			normalPdf(nan),
			normalQuantile(-0.1),
			normalQuantile(1.1),
			normalIsf(nan),
			normalIsfLog(0.1),
		],
		t: [
			tCdf(nan, 3),
			tSf(1, 0),
			tSf(1, -1),
			tSf(0, nan),
			tSf(INF, -1),
			tQuantile(2, 3),
			tIsf(0.1, 0),
			tTwoSidedP(nan, 2),
			logTSf(1, 0),
			logTPdf(1, 0),
		],
		beta: [
			betaCdf(nan, 1, 1),
			betaSf(0.5, 0, 1),
			betaCdf(0.5, 1, INF),
			betaQuantile(nan, 1, 1),
			betaIsf(0.1, -1, 1),
			logBetaPdf(nan, 1, 1),
		],
		gamma: [gammaP(0, 1), gammaQ(1, nan), gammaQ(INF, 1), chiSquareSf(1, 0)],
	};
	for (const [name, values] of Object.entries(bad)) t.ok(values.every(Number.isNaN), `${name}: ${values}`);
});

t.test("a continued fraction that does not converge throws", async (t) => {
	t.throws(() => betaFraction(0.5, 0.5, 1e8, 1e8, 100), { code: "internal", message: /did not converge/ });
	t.ok(
		near(betaFraction(0.5, 0.5, 1e8, 1e8), betaFraction(0.5, 0.5, 1e8, 1e8, 1e6), 1e-15),
		"its own cap suffices at the worst x",
	);
	t.throws(() => gammaFraction(101, 100, 3), { code: "internal", message: /did not converge/ });
});
