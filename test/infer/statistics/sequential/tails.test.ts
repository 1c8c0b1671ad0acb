/** Tails: how far one unit moves an estimate, and claims on arms of unlike shape with errors within alpha. */

import t from "tap";
import { difference, liftContrast } from "../../../../src/infer/statistics/estimators/contrast.js";
import { isNoEstimate } from "../../../../src/infer/statistics/estimators/estimate.js";
import { meanLevel } from "../../../../src/infer/statistics/estimators/level.js";
import { meanVectorOfMoments } from "../../../../src/infer/statistics/estimators/meanVector.js";
import type { MetricEvidence } from "../../../../src/infer/statistics/evidence.js";
import { heaviestPull, UNIT_PULL_MAX, unitPullMax } from "../../../../src/infer/statistics/sequential/tails.js";
import { farthest, mergeAllExtremes, NO_EXTREMES } from "../../../../src/infer/statistics/statistics/extremes.js";
import { run } from "../../../calibrate/experiment.js";
import { type Method, methodOf } from "../../../calibrate/methods.js";
import { SCENARIOS } from "../../../calibrate/scenarios.js";
import { asympBounds, momentsOf } from "../formulas.js";

const armOf = (values: readonly number[]): MetricEvidence => ({
	...momentsOf(values),
	extremes: [{ lo: Math.min(...values), hi: Math.max(...values) }],
});
const levelOf = (arm: MetricEvidence) => {
	const vector = meanVectorOfMoments(arm);
	if (isNoEstimate(vector)) throw new Error(vector.reason);
	const level = meanLevel(vector);
	if (isNoEstimate(level)) throw new Error(level.reason);
	return level;
};

t.test("the pull of the heaviest unit is its effect on the mean in standard errors", async (t) => {
	const [a, b] = [
		[1, 2, 3, 4, 90, 2, 1],
		[5, 3, 4, 6, 5, -20, 4, 5],
	];
	const [challenger, baseline] = [armOf(a), armOf(b)];
	const without = (values: readonly number[], value: number): number => {
		const mean = momentsOf(values).mean;
		return momentsOf(values.map((one) => (one === value ? mean : one))).mean;
	};
	const moved = { a: challenger.mean - without(a, 90), b: baseline.mean - without(b, -20) };
	for (const lift of [0, 0.5]) {
		const estimate = liftContrast(levelOf(challenger), levelOf(baseline), lift);
		if (isNoEstimate(estimate)) throw new Error(estimate.reason);
		const most = Math.max(Math.abs(moved.a), (1 + lift) * Math.abs(moved.b));
		const pull = heaviestPull(estimate, challenger, baseline) ?? 0;
		t.ok(Math.abs(pull * Math.sqrt(estimate.variance) - most) < 1e-9, `${pull}`);
	}
	// A lift weighs the baseline's heaviest unit (1 + lift) times.
	const [light, heavy] = [armOf([3, 4, 5, 4, 3, 5]), armOf([1, 2, 3, 4, 90, 2, 1])];
	for (const lift of [0, 0.5]) {
		const estimate = liftContrast(levelOf(light), levelOf(heavy), lift);
		if (isNoEstimate(estimate)) throw new Error(estimate.reason);
		const pull = heaviestPull(estimate, light, heavy) ?? 0;
		t.ok(Math.abs(pull * Math.sqrt(estimate.variance) - (1 + lift) * moved.a) < 1e-9, `${pull}`);
	}
	const estimate = difference(levelOf(challenger), levelOf(baseline));
	if (isNoEstimate(estimate)) throw new Error(estimate.reason);
	t.equal(heaviestPull(estimate, challenger, momentsOf(b)), null, "a plan without data");
	t.ok(Number.isNaN(heaviestPull(estimate, { ...challenger, extremes: [NO_EXTREMES] }, baseline)));
});

t.test("the allowed pull of one unit is smaller at a lower level", async (t) => {
	t.same([unitPullMax(0.05), unitPullMax(0.005)], [UNIT_PULL_MAX, UNIT_PULL_MAX]);
	t.ok(Math.abs(unitPullMax(0.005 ** 2) - UNIT_PULL_MAX / 2) < 1e-12);
});

t.test("extremes merge, and impossible pairs are detected", async (t) => {
	t.same(
		mergeAllExtremes(
			[{ lo: 1, hi: 3 }],
			[
				{ lo: -2, hi: 2 },
				{ lo: 0, hi: 0 },
			],
		),
		[
			{ lo: -2, hi: 3 },
			{ lo: 0, hi: 0 },
		],
	);
	t.same(mergeAllExtremes([], [{ lo: 1, hi: 3 }]), [{ lo: 1, hi: 3 }]);
	const moments = momentsOf([1, 2, 3, 6]);
	t.equal(farthest({ lo: 1, hi: 6 }, moments.n, moments.mean, moments.m2), 3);
	for (const extremes of [{ lo: 4, hi: 6 }, { lo: 1, hi: 2 }, { lo: 2.9, hi: 3.1 }, NO_EXTREMES])
		t.ok(Number.isNaN(farthest(extremes, moments.n, moments.mean, moments.m2)), JSON.stringify(extremes));
	t.equal(farthest({ lo: 1e9, hi: 1e9 }, 3, 1e9 + 1e-7, 0) < 1e-6, true, "rounding of a constant");
});

t.test("the tail rule prevents wrong claims about arms with different distributions", async (t) => {
	const scenario = SCENARIOS.find(({ name }) => name === "normal, challenger lognormal σ 1.5");
	if (scenario === undefined) throw new Error("the scenario");
	const small = { ...scenario, units: 10_000 };
	const rule = methodOf(small);
	// Bounds without the tail rule.
	const bare: Method = {
		exact: false,
		claims: (challenger, baseline) => {
			const estimate = difference(levelOf(challenger.moments()), levelOf(baseline.moments()));
			const bounds = isNoEstimate(estimate) ? estimate : asympBounds(estimate, { alpha: 0.05 });
			if (isNoEstimate(bounds)) return { above: false, below: false, missed: false };
			return { above: bounds.lower > 0, below: bounds.upper < 0, missed: false };
		},
	};
	const from2000 = (method: Method | null): number => run(small, 0, 150, 20, method).from[4]?.below ?? 0;
	const [ruled, unruled] = [from2000(rule), from2000(bare)];
	t.comment(`of 150: ${unruled} without the rule, ${ruled} with it`);
	t.ok(unruled >= 6, "several err without it");
	t.ok(ruled <= 2);
});
