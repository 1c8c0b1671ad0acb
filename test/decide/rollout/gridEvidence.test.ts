/** A quantile's grid is queried in parts, which are joined. */
import t from "tap";
import { together } from "../../../src/decide/rollout/gridEvidence.js";
import type { MetricEvidence } from "../../../src/infer/statistics/evidence.js";
import { CENTRE, GRID_SIZE } from "../../../src/infer/statistics/quantileGrid.js";
import { THRESHOLDS_TOGETHER } from "../../../src/limits/index.js";

const part = (n: number, share: number): MetricEvidence => ({
	...{ n, mean: share, m2: n * share * (1 - share) },
	co: { n, means: Array.from({ length: THRESHOLDS_TOGETHER }, () => share), m2: [] },
});
const parts = (n: readonly number[]) =>
	Object.fromEntries(n.map((units, index) => [index === 0 ? "p99" : `p99 ${index + 1}`, part(units, 0.01)]));

t.test("a grid is joined only from parts with the same units", async (t) => {
	const quantiles = new Set(["p99"]);
	const all = Array.from({ length: GRID_SIZE / THRESHOLDS_TOGETHER }, () => 100);
	const whole = together(parts(all), quantiles).p99;
	t.equal(whole?.slow?.length, GRID_SIZE);
	t.equal(whole?.slow?.[CENTRE], 0.01);
	const other = together(parts(all.with(2, 99)), quantiles).p99;
	t.match(other, { n: 100, mean: 0.01, slow: undefined });
});
