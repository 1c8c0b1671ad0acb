import t from "tap";
import { isNoEstimate } from "../../../../src/infer/statistics/estimators/estimate.js";
import { halfWidth, halfWidthOneSided, rho } from "../../../../src/infer/statistics/sequential/asympCs.js";
import {
	asympInterval,
	type Estimated,
	unitsProblem,
} from "../../../../src/infer/statistics/sequential/asympEstimate.js";
import { afterLook, NO_LOOKS } from "../../../../src/infer/statistics/sequential/runningBounds.js";
import {
	approximateRho,
	asympBounds,
	asympOneSidedPValue,
	asympPValue,
	contrastInterval,
	pValue,
	pValueOneSided,
	ratioInterval,
} from "../formulas.js";

/**
 * growthbook packages/stats/tests/frequentist/test_tests.py at 8f1db4456: A(n 3000, sum 1396.87, squares 52377.9767)
 * and B(3461, 2422.7, 134698.29), relative and absolute. GrowthBook's ρ is equation 161 at N* = 5,000.
 */
const A = { n: 3000, mean: 1396.87 / 3000, variance: (52377.9767 - 1396.87 ** 2 / 3000) / 2999 };
const B = { n: 3461, mean: 2422.7 / 3461, variance: (134698.29 - 2422.7 ** 2 / 3461) / 3460 };
const N = A.n + B.n;
const RELATIVE = B.mean / A.mean - 1;
const RELATIVE_SE = Math.sqrt(B.variance / (A.mean ** 2 * B.n) + (A.variance * B.mean ** 2) / (A.mean ** 4 * A.n));
const ABSOLUTE = B.mean - A.mean;
const ABSOLUTE_SE = Math.sqrt(B.variance / B.n + A.variance / A.n);

const near = (actual: number, published: number, digits: number): boolean =>
	Math.abs(actual - published) <= 0.5000001 * 10 ** -digits;

t.test("AsympCS with GrowthBook's ρ agrees with its published sequential intervals", async (t) => {
	const two = halfWidth(RELATIVE_SE * Math.sqrt(N), N, 0.05, approximateRho(0.05, 1000));
	t.ok(near(RELATIVE, 0.50336, 5) && near(RELATIVE - two, -0.55844, 5) && near(RELATIVE + two, 1.56516, 5));
	// Proportions: 1396 of 3,000 against 2,422 of 3,461, variance p(1 − p).
	const [p, q] = [1396 / 3000, 2422 / 3461];
	const se = Math.sqrt((q * (1 - q)) / (p ** 2 * 3461) + (p * (1 - p) * q ** 2) / (p ** 4 * 3000));
	const prop = halfWidth(se * Math.sqrt(N), N, 0.05, approximateRho(0.05, 5000));
	t.ok(near(q / p - 1 - prop, 0.40098, 5) && near(q / p - 1 + prop, 0.60675, 5));
	// CUPED, by its published estimate and standard error, which have five digits.
	const cuped = halfWidth(0.33341 * Math.sqrt(N), N, 0.05, approximateRho(0.05, 5000));
	t.ok(Math.abs(0.50338 - cuped + 0.50969) < 5e-5 && Math.abs(0.50338 + cuped - 1.51646) < 5e-5);
	// Ratio with CUPED, 100 against 100.
	const ratio = halfWidth(0.00391 * Math.sqrt(200), 200, 0.05, approximateRho(0.05, 5000));
	t.ok(Math.abs(-0.0007 - ratio + 0.02063) < 5e-5 && Math.abs(-0.0007 + ratio - 0.01923) < 5e-5);
	const one = halfWidthOneSided(RELATIVE_SE * Math.sqrt(N), N, 0.05, approximateRho(0.1, 5000));
	t.ok(near(RELATIVE - one, -0.42356454602790883, 12) && near(RELATIVE + one, 1.4302867177403806, 12));
	const absolute = halfWidthOneSided(ABSOLUTE_SE * Math.sqrt(N), N, 0.05, approximateRho(0.1, 5000));
	t.ok(near(ABSOLUTE - absolute, -0.12656844172804982, 12) && near(ABSOLUTE + absolute, 0.5953217750613832, 12));
	// GrowthBook looks for this p by bisection and halves once more after it has met it; ours is a formula.
	const r = approximateRho(0.1, 5000);
	const p1 = pValueOneSided(ABSOLUTE, ABSOLUTE_SE, N, r);
	const theirs = 0.46316491943359384;
	const boundAt = (alpha: number): number => ABSOLUTE - halfWidthOneSided(ABSOLUTE_SE * Math.sqrt(N), N, alpha, r);
	t.ok(Math.abs(p1 - theirs) < 1.25e-4, `${p1}`);
	t.ok(Math.abs(boundAt(p1)) < 1e-14, "the bound at ours is 0");
	t.ok(Math.abs(boundAt(theirs)) > 1e-6, "the bound at theirs is not");
});

t.test("AsympCS uses a non-inferiority margin, which GrowthBook ignores", async (t) => {
	// The arms are equal, the margin is 2 units, and the claim is "above −2".
	const estimate: Estimated = { value: 0, variance: 0.25, n: 10_000 };
	const design = { alpha: 0.05 };
	const ours = asympOneSidedPValue("above", estimate, -2, design);
	// frequentist/tests.py, SequentialOneSidedTreatmentLesserTTest.compute_p_value: `diff = ci_value - 0`; p in [1e-5, .4999].
	const theirs = Math.min(0.4999, pValueOneSided(estimate.value, 0.5, estimate.n, approximateRho(0.1, 5000)));
	t.ok(!isNoEstimate(ours) && ours.p < 0.05, JSON.stringify(ours));
	t.equal(theirs, 0.4999, "the margin never enters");
	// The truth by equation 134: the interval's lower end lies above −2, so that the claim is proved at 5 %.
	const bounds = asympBounds(estimate, design);
	t.ok(!isNoEstimate(bounds) && bounds.lower > -2);
	if (isNoEstimate(bounds) || isNoEstimate(ours)) return;
	const touching = asympOneSidedPValue("above", estimate, bounds.lower, design);
	t.ok(!isNoEstimate(touching) && Math.abs(touching.p - 0.05) < 1e-12, "p is alpha where the bound is the line");
	// The converse: clearly worse than the margin.
	const harm = asympOneSidedPValue("below", { ...estimate, value: -4.5 }, -2, design);
	t.ok(!isNoEstimate(harm) && harm.p < 0.05);
});

t.test("AsympCS intervals and p-values agree, and invalid numbers are a reason", async (t) => {
	const estimate: Estimated = { value: 0.3, variance: 0.01, n: 4_000 };
	const interval = asympInterval(estimate, { alpha: 0.05, tunedAt: 4_000 });
	t.ok(!isNoEstimate(interval));
	if (!isNoEstimate(interval)) {
		const p = asympPValue(estimate, interval.lower, { alpha: 0.05, tunedAt: 4_000 });
		t.ok(!isNoEstimate(p) && Math.abs(p.p - 0.05) < 1e-12);
	}
	t.equal(pValue(0.3, 0.1, 4000, rho(0.05, 4000)), pValue(-0.3, 0.1, 4000, rho(0.05, 4000)));
	t.ok(pValueOneSided(1e6, 1, 4000, 0.05) >= 0, "no overflow into NaN");
	const bad: Estimated[] = [
		{ ...estimate, value: Number.NaN },
		{ ...estimate, value: Number.POSITIVE_INFINITY },
		{ ...estimate, variance: 0 },
		{ ...estimate, variance: -1 },
		{ ...estimate, variance: Number.NaN },
		{ ...estimate, n: 0 },
		{ ...estimate, n: -5 },
		{ ...estimate, n: Number.NaN },
	];
	for (const one of bad) {
		t.ok(isNoEstimate(asympInterval(one, { alpha: 0.05 })), JSON.stringify(one));
		t.ok(isNoEstimate(asympBounds(one, { alpha: 0.05 })));
		t.ok(isNoEstimate(asympPValue(one, 0, { alpha: 0.05 })));
		t.ok(isNoEstimate(asympOneSidedPValue("above", one, 0, { alpha: 0.05 })));
	}
	t.ok(isNoEstimate(asympBounds(estimate, { alpha: 0.5 })), "one-sided at a half has no ρ");
	t.ok(isNoEstimate(asympInterval(estimate, { alpha: 0 })));
	t.equal(unitsProblem(2_000, 2_600), "");
	t.match(unitsProblem(1_999, 2_600), /needs 2000 units/);
	t.match(unitsProblem(Number.NaN, 600), /needs 2000 units/);
});

t.test("the bounds of a ratio are the slopes at which the contrast is just excluded", async (t) => {
	const arm = { n: 3000, mean: 11, m2: 3000 * 9 };
	const baseline = { n: 2500, mean: 10, m2: 2500 * 16 };
	const ratio = ratioInterval(arm, baseline, 0.02);
	t.ok(ratio !== null && ratio.lower < 1.1 && ratio.upper > 1.1);
	if (ratio === null) return;
	t.ok(Math.abs(contrastInterval(arm, baseline, ratio.upper, 0.02).upper) < 1e-10);
	t.ok(Math.abs(contrastInterval(arm, baseline, ratio.lower, 0.02).lower) < 1e-10);
	const negative = ratioInterval({ ...arm, mean: -11 }, baseline, 0.02);
	t.ok(negative !== null && Math.abs(negative.lower + ratio.upper) < 1e-12, "a negative challenger mirrors it");
});

t.test("the intersection over looks narrows, ignores NaN and keeps a contradiction", async (t) => {
	const first = afterLook(NO_LOOKS, { lower: -1, upper: 1, p: 0.3 });
	const second = afterLook(first, { lower: -2, upper: 0.5, p: 0.6 });
	t.same(second, { lower: -1, upper: 0.5, p: 0.3, looks: 2, contradicted: false });
	t.equal(afterLook(second, { lower: Number.NaN, p: Number.NaN }), second);
	t.equal(afterLook(second, {}), second);
	t.same(afterLook(second, { p: 0.01 }), { ...second, p: 0.01, looks: 3 });
	const moved = afterLook(second, { lower: 0.7, upper: 0.9 });
	t.same(moved, { lower: 0.7, upper: 0.9, p: 0.3, looks: 3, contradicted: true });
	t.ok(afterLook(moved, { lower: 0.75, upper: 0.9 }).contradicted);
	t.same(JSON.parse(JSON.stringify(second)), second, "a value that can be stored");
});
