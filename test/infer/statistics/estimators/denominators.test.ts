/** Ratios with rare denominators: a few give no result, and units without a past need none. */

import t from "tap";
import type { Metric } from "../../../../src/declare/resources/resource.js";
import { armLevel } from "../../../../src/infer/statistics/armLevel.js";
import { compare } from "../../../../src/infer/statistics/comparison.js";
import { DENOMINATOR_Z_MIN, denominatorZMin } from "../../../../src/infer/statistics/estimators/denominators.js";
import type { MetricEvidence } from "../../../../src/infer/statistics/evidence.js";
import { plannedTest } from "../../../../src/infer/statistics/plannedLook.js";
import { isMeasured, type Question } from "../../../../src/infer/statistics/question.js";
import { ASYMPCS_MIN_UNITS } from "../../../../src/infer/statistics/sequential/asympCs.js";
import { momentsAt } from "../../../../src/infer/statistics/statistics/coMoments.js";
import { metric } from "../../../decide/rollout/example.js";
import { coMomentsOf } from "../formulas.js";

const ask = (spec: Partial<Metric["spec"]>, levels = { alpha: 0.05, harmAlpha: 0.05 }): Question => ({
	metric: metric("cost", { type: "ratio", perUnit: "sum", denominator: { metric: "conversions" }, ...spec }),
	role: "goal",
	effect: { kind: "absolute", value: 0 },
	slowLine: 0,
	reference: null,
	meanUnits: ASYMPCS_MIN_UNITS,
	shares: { challenger: 1, baseline: 20 },
	...levels,
});

/** Costs of 1 ± 0.5; of the units so many convert, and so many did before. */
function arm(n: number, conversions: number, before?: number): MetricEvidence {
	const rows = Array.from({ length: n }, (_, i) => {
		const [cost, often] = [0.5 + (i % 11) / 10, (events: number) => (i % Math.floor(n / events) === 0 ? 1 : 0)];
		const now = [cost, often(conversions)];
		return before === undefined ? now : [...now, cost, before === 0 ? 0 : often(before)];
	});
	const co = coMomentsOf(rows[0]?.length ?? 0, rows);
	const extremes = co.means.map((_, i) => ({ lo: 0, hi: i % 2 === 0 ? 1.5 : 1 }));
	return { ...momentsAt(co, 0), co, extremes };
}

t.test("a ratio needs a hundred events in its denominator, and reports how many are missing", async (t) => {
	const many = arm(100_000, 400);
	const few = compare(ask({}), arm(10_000, 40), many);
	t.match(few, {
		note: "the denominators are too few for a result: they add up to 40 in the challenger, about 60 more are needed there",
	});
	t.match(compare(ask({}), many, arm(10_000, 40)), { note: /add up to 40 in the baseline, about 60 more/ });
	t.ok(isMeasured(compare(ask({}), arm(25_000, 100), many)));
	const look = plannedTest(ask({}), arm(10_000, 40), many, 0.05);
	t.match(look, { reason: /denominators are too few/ }, "the same at a planned look");
	t.match(armLevel(ask({}).metric, arm(10_000, 40), 0.05), { lower: null, note: /denominators are too few/ });
});

t.test("a level below the measured one needs more events: the lower of both counts", async (t) => {
	t.equal(denominatorZMin(0.0025), DENOMINATOR_Z_MIN);
	t.equal(denominatorZMin(0.05), DENOMINATOR_Z_MIN);
	t.ok(denominatorZMin(0.0005) > 12.6 && denominatorZMin(0.00005) > 16.5);
	const seen = compare(ask({}, { alpha: 0.05, harmAlpha: 1e-5 }), arm(25_000, 100), arm(100_000, 400));
	t.match(seen, { note: /about 268 more/ });
});

t.test("a ratio of units with little or no past uses no covariate", async (t) => {
	const covariate = ask({ covariateMs: 1_000 });
	const [plain, same] = [compare(ask({}), arm(25_000, 125), arm(25_000, 100)), arm(25_000, 100, 100)];
	for (const before of [0, 50]) {
		const found = compare(covariate, arm(25_000, 125, before), same);
		t.same(found, plain, `${before} before`);
	}
	t.notSame(compare(covariate, arm(25_000, 125, 100), same), plain, "units with earlier values are adjusted");
});
