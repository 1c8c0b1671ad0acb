/** One planned look by the classical tests, against scipy and statsmodels (test/fixtures/statistics/plannedLook.py). */
import { readFileSync } from "node:fs";
import t from "tap";
import type { Metric } from "../../../src/declare/resources/resource.js";
import { isNoEstimate } from "../../../src/infer/statistics/estimators/estimate.js";
import type { MetricEvidence } from "../../../src/infer/statistics/evidence.js";
import {
	informationUnits,
	type PlannedTest,
	plannedTest,
	unitsOfInformation,
} from "../../../src/infer/statistics/plannedLook.js";
import { experiment, metric } from "../../decide/rollout/example.js";

type Pair = readonly [number, number];
interface Truth {
	readonly n: Pair;
	readonly relative: boolean;
	readonly direction: "up" | "down";
	readonly improveBy: number;
	readonly alpha: number;
	readonly z: number;
	readonly p: number;
	readonly lower: number;
}

const golden = JSON.parse(readFileSync("test/fixtures/statistics/plannedLook.json", "utf8")) as {
	readonly shares: readonly (Truth & { readonly events: Pair })[];
	readonly means: readonly (Truth & { readonly mean: Pair; readonly variance: Pair; readonly df: number })[];
};

function tested(truth: Truth, type: "rate" | "mean", arm: (i: 0 | 1) => MetricEvidence): PlannedTest {
	const { direction, relative, improveBy: value, alpha } = truth;
	const effect = { kind: relative ? "relative" : "absolute", value } as const;
	const goal = { metric: metric("goal", { type, direction }), role: "goal", effect, slowLine: 0 } as const;
	const found = plannedTest(goal, arm(1), arm(0), alpha);
	if (isNoEstimate(found)) throw new Error(found.reason);
	return found;
}

const near = (actual: number | null, truth: number, relative: number, absolute = 0): boolean =>
	actual !== null && Math.abs(actual - truth) <= Math.max(absolute, relative * Math.abs(truth));

t.test("a planned look at shares uses the score test of a difference or a ratio", async (t) => {
	for (const truth of golden.shares) {
		const found = tested(truth, "rate", (i) => {
			const [n, p] = [truth.n[i], truth.events[i] / truth.n[i]];
			return { n, mean: p, m2: n * p * (1 - p) };
		});
		const good =
			near(found.z, truth.z, 1e-9, 1e-9) &&
			near(found.pValue, truth.p, 1e-7) &&
			near(found.lower, truth.lower, 1e-8, 1e-9);
		if (!good) t.fail(`${JSON.stringify(truth)} ${JSON.stringify(found)}`);
		t.match(found, { test: "score", degreesOfFreedom: null });
	}
	t.equal(golden.shares.length, 80);
});

t.test("a planned look at means uses Welch's t, and its z has the same p-value", async (t) => {
	for (const truth of golden.means) {
		const found = tested(truth, "mean", (i) => ({
			n: truth.n[i],
			mean: truth.mean[i],
			m2: truth.variance[i] * (truth.n[i] - 1),
		}));
		const good =
			near(found.z, truth.z, 1e-7, 1e-7) &&
			near(found.pValue, truth.p, 1e-7) &&
			near(found.lower, truth.lower, 1e-7, 1e-9) &&
			near(found.degreesOfFreedom, truth.df, 1e-8);
		if (!good) t.fail(`${JSON.stringify(truth)} ${JSON.stringify(found)}`);
		t.equal(found.test, "welch");
	}
	t.equal(golden.means.length, 80);
});

function goalOf(spec: Partial<Metric["spec"]>) {
	const effect = { kind: "absolute", value: 0 } as const;
	return { metric: metric("goal", spec), role: "goal", effect, slowLine: 0 } as const;
}

t.test("an extreme z stays finite in both directions", async (t) => {
	const goal = goalOf({ type: "mean" });
	const arm = (mean: number) => ({ n: 3_000, mean, m2: 2_999 });
	for (const [mean, sign] of [
		[60, 1],
		[-60, -1],
	] as const) {
		const found = plannedTest(goal, arm(mean), arm(0), 0.05);
		t.ok(!isNoEstimate(found) && Number.isFinite(found.z) && sign * found.z > 30, JSON.stringify(found));
	}
});

t.test("a planned look at shares with several outcomes per unit uses Welch's t", async (t) => {
	const goal = goalOf({});
	const arm = (mean: number) => ({ n: 400, mean, m2: 400 * 0.02 });
	const found = plannedTest(goal, arm(0.53), arm(0.5), 0.05);
	t.match(found, { test: "welch" });
	t.ok(!isNoEstimate(found) && found.z > 2.9 && found.z < 3, JSON.stringify(found));
});

t.test("information maps to the least number of units", async (t) => {
	for (const weights of [[1], [1, 1], [5], [1, 5], [2, 2], [6, 7, 11]]) {
		const own = experiment(weights.map((_, index) => `b${index}`));
		const arms = own.spec.arms.map((arm, index) => ({ ...arm, weight: weights[index - 1] ?? 1 }));
		const declared = { ...own, spec: { ...own.spec, arms } };
		for (const information of [0, 1, 2, 10_001, 999_999, 12_345_678, 987_654_321]) {
			const units = unitsOfInformation(declared, "b0", information);
			t.ok(informationUnits(declared, "b0", units) >= information);
			t.ok(units === 0 || informationUnits(declared, "b0", units - 1) < information, `${weights}: ${information}`);
		}
	}
	t.equal(unitsOfInformation(experiment([]), "b0", 7), 7, "without others it counts itself");
});
