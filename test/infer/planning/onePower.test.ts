/** The chance that one look proves the goal, against sums over all pairs of counts and against statsmodels. */

import { readFileSync } from "node:fs";
import t from "tap";
import { onePower } from "../../../src/infer/planning/onePower.js";
import { distanceOf, fixedDesign, type PlanMetric } from "../../../src/infer/planning/planMetric.js";
import { normalIsf } from "../../../src/infer/statistics/distributions/normal.js";
import { statistic } from "../../../src/infer/statistics/plannedLook.js";
import { fixedPower } from "../statistics/formulas.js";
import { absolute, claim, relative } from "./examples.js";

interface Golden {
	readonly noncentral: readonly {
		readonly effect: number;
		readonly n: number;
		readonly ratio: number;
		readonly alpha: number;
		readonly power: number;
	}[];
	readonly counts: readonly {
		readonly pT: number;
		readonly n: number;
		readonly pC: number;
		readonly m: number;
		readonly line: number;
		readonly direction: "up" | "down";
		readonly score: number;
		readonly uncorrected: number;
	}[];
}

const golden: Golden = JSON.parse(readFileSync("test/fixtures/statistics/plannedLooks.json", "utf8"));
const LEVEL = { alpha: 0.05, z: normalIsf(0.05) };

const share = (direction: "up" | "down", pT: number, pC: number, line: number): PlanMetric =>
	claim(
		"bought",
		{ direction },
		{
			role: "goal",
			effect: absolute(line),
			baselineMean: pC,
			believed: direction === "up" ? pT - pC : pC - pT,
		},
	);

t.test(
	"the power of shares equals the sum over all pairs of counts, and the normal approximation is close",
	async (t) => {
		for (const { pT, n, pC, m, line, direction, score, uncorrected } of golden.counts) {
			const metric = share(direction, pT, pC, line);
			const shares = { challenger: n, baseline: m };
			const { power, by } = onePower(metric, LEVEL, shares, n + m);
			t.equal(by, "counts");
			t.ok(Math.abs(power - score) < 1e-9, `${n} at ${pT} against ${m} at ${pC}: ${power} of ${score}`);
			const units = n + m;
			const normal = fixedPower(
				fixedDesign(metric, 0.05, shares, metric.believed),
				distanceOf(metric, metric.believed),
				units,
			);
			const rare = Math.min(n * Math.min(pT, 1 - pT), m * Math.min(pC, 1 - pC));
			// It knows no skewness, for which the look's statistic is corrected.
			t.comment(`normal law ${normal - power} off with ${rare} of the rarer`);
			t.ok(Math.abs(normal - uncorrected) < (rare >= 100 ? 0.003 : 0.01), `${rare}: ${normal} of ${uncorrected}`);
		}
	},
);

t.test("the power uses the look's own statistic, also for ratios", async (t) => {
	for (const metric of [
		share("up", 0.4, 0.25, 0.02),
		share("down", 0.2, 0.4, 0),
		{ ...share("up", 0.4, 0.25, 0), effect: relative(0.1), believed: 0.6 },
	]) {
		const [n, m] = [120, 90];
		const sign = metric.metric.spec.direction === "up" ? 1 : -1;
		const pC = metric.baselineMean;
		const pT = pC + sign * metric.believed * (metric.effect.kind === "relative" ? pC : 1);
		const bits = (units: number, events: number) => {
			const mean = events / units;
			return { n: units, mean, m2: units * mean * (1 - mean) };
		};
		const law = (units: number, p: number): number[] => {
			let chances = [1];
			for (let unit = 0; unit < units; unit++)
				chances = Array.from(
					{ length: chances.length + 1 },
					(_, k) => (chances[k] ?? 0) * (1 - p) + (chances[k - 1] ?? 0) * p,
				);
			return chances;
		};
		const [ofT, ofC] = [law(n, pT), law(m, pC)];
		let power = 0;
		for (const [a, chanceT] of ofT.entries())
			for (const [b, chanceC] of ofC.entries()) {
				// What hardly ever happens need not be asked.
				if (chanceT * chanceC < 1e-13) continue;
				if ((statistic(metric, bits(n, a), bits(m, b)) ?? -1) >= LEVEL.z) power += chanceT * chanceC;
			}
		const seen = onePower(metric, LEVEL, { challenger: n, baseline: m }, n + m);
		t.ok(Math.abs(seen.power - power) < 1e-9, `${seen.power} of ${power}`);
	}
});

t.test("the power of means is statsmodels' noncentral t where jStat is exact, else the normal one", async (t) => {
	for (const { effect, n, ratio, alpha, power } of golden.noncentral) {
		const metric = claim(
			"score",
			{ type: "mean" },
			{ role: "goal", effect: absolute(0), baselineMean: 1, variance: 1, believed: effect },
		);
		const seen = onePower(metric, { alpha, z: normalIsf(alpha) }, { challenger: 1, baseline: ratio }, n * (1 + ratio));
		// Welch's degrees of freedom are fewer than the pooled ones of statsmodels where arms differ.
		t.ok(Math.abs(seen.power - power) < (ratio === 1 ? 1e-7 : 2e-4), `${seen.power} of ${power}`);
		t.equal(seen.by, "noncentral t");
		const normal = onePower(
			{ ...metric, metric: { ...metric.metric, spec: { ...metric.metric.spec, type: "ratio" } } },
			{ alpha, z: normalIsf(alpha) },
			{ challenger: 1, baseline: ratio },
			n * (1 + ratio),
		);
		t.equal(normal.by, "normal law");
		t.ok(Math.abs(normal.power - power) < 3e-4, `${normal.power}`);
	}
	const large = claim(
		"score",
		{ type: "mean" },
		{ role: "goal", effect: absolute(0), baselineMean: 1, variance: 1, believed: 0.01 },
	);
	t.equal(onePower(large, LEVEL, { challenger: 1, baseline: 1 }, 100_000).by, "normal law");
	t.equal(onePower(share("up", 0.51, 0.5, 0), LEVEL, { challenger: 1, baseline: 1 }, 2e6).by, "normal law");
});
