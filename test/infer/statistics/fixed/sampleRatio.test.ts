/** The fixed chi-square test of a sample ratio; p-values are scipy's. */
import t from "tap";
import { isNoEstimate } from "../../../../src/infer/statistics/estimators/estimate.js";
import { sampleRatioTest } from "../../../../src/infer/statistics/fixed/sampleRatio.js";

t.test("an arm of weight 0 adds no degree of freedom, which would hide a mismatch", async (t) => {
	for (const [counts, weights, truth] of [
		[[500, 560, 0], [0.5, 0.5, 0], 0.06534575],
		[[5000, 5600], [1, 1], 5.619e-9],
		[[1000, 1000], [1, 1], 1],
		[[900, 100], [9, 1], 1],
	] as const) {
		const result = sampleRatioTest(counts, weights);
		t.ok(!isNoEstimate(result) && Math.abs(result.pValue / truth - 1) < 1e-4, `${counts}`);
		t.match(result, { degreesOfFreedom: 1 });
	}
});

t.test("invalid exposure counts are refused with a reason", async (t) => {
	for (const [counts, weights, reason] of [
		[[1, 2, 3], [1, 1, 0], /weight 0/],
		[[1, 2], [1], /2 counts/],
		[[1, Number.NaN], [1, 1], /not a count/],
		[[1, -1], [1, 1], /not a count/],
		[[1, 1], [1, Number.NaN], /weight is not/],
		[[0, 0], [1, 1], /no units/],
		[[5], [1], /not two arms/],
	] as const)
		t.match(sampleRatioTest(counts, weights), { reason });
});
