import t from "tap";
import {
	type BetaPrior,
	logEvidence,
	PRIOR_RARE,
	PRIOR_RATE,
} from "../../../../src/infer/statistics/sequential/bernoulliMixture.js";
import { logPropensityEvidence } from "./propensityBetting.js";

t.test("a propensity bet has expected value at most 1 under the null, for any propensity", async (t) => {
	// Exact: the arm is drawn by its chance, the value is 0, ½ or 1 with the arm's mean.
	for (const propensity of [0.05, 0.3, 0.5, 0.9])
		for (const offset of [-0.1, 0, 0.05])
			for (const baseline of [0.01, 0.2, 0.6, 0.9]) {
				const challenger = baseline + offset;
				if (challenger < 0 || challenger > 1) continue;
				for (const half of [0, 1]) {
					let expected = 0;
					for (const [arm, chance, mean] of [
						["challenger", propensity, challenger],
						["baseline", 1 - propensity, baseline],
					] as const) {
						const middle = half * Math.min(mean, 1 - mean);
						for (const [value, share] of [
							[1, mean - middle / 2],
							[0.5, middle],
							[0, 1 - mean - middle / 2],
						] as const) {
							const one = { n: 1, sum: value };
							const none = { n: 0, sum: 0 };
							const batch = { propensity, challenger: none, baseline: none, [arm]: one };
							expected += chance * share * Math.exp(logPropensityEvidence("above", [batch], offset));
						}
					}
					t.ok(expected <= 1 + 1e-12, `${propensity} ${offset} ${baseline} ${half}: ${expected}`);
					if (half === 0) t.ok(expected > 1 - 1e-12, "exactly 1 on the line for 0 and 1");
				}
			}
});

/** Units per arm until ln e reaches ln 20, on data exactly in proportion. */
function unitsToProve(logE: (n: number) => number): number {
	let high = 2;
	while (logE(high) < Math.log(20)) high *= 2;
	let low = high / 2;
	while (high - low > 1) {
		const middle = Math.floor((low + high) / 2);
		if (logE(middle) >= Math.log(20)) high = middle;
		else low = middle;
	}
	return high;
}

t.test("the extra units of propensity betting over the Bernoulli mixture are bounded", async (t) => {
	for (const [pt, pc, offset, propensity, prior, most] of [
		[0.83, 0.78, 0, 0.5, PRIOR_RATE, 1.2],
		[0.83, 0.78, 0.005, 0.5, PRIOR_RATE, 1.2],
		[0.06, 0.05, 0, 0.5, PRIOR_RATE, 1.15],
		[0.53, 0.5, 0, 0.5, PRIOR_RATE, 1.15],
		[0.012, 0.01, -0.005, 0.5, PRIOR_RARE, 1.26],
		[0.001, 0.001, -0.005, 0.5, PRIOR_RARE, 1.55],
		[0.83, 0.78, 0, 0.1, PRIOR_RATE, 1.25],
	] as const satisfies readonly (readonly [number, number, number, number, BetaPrior, number])[]) {
		const data = (n: number) => ({
			challenger: { n: 2 * n * propensity, sum: 2 * n * propensity * pt },
			baseline: { n: 2 * n * (1 - propensity), sum: 2 * n * (1 - propensity) * pc },
		});
		const shares = { challenger: propensity, baseline: 1 - propensity };
		const mixture = unitsToProve((n) => {
			const { challenger, baseline } = data(n);
			return logEvidence("above", challenger, baseline, { slope: 1, offset }, prior, shares);
		});
		const betting = unitsToProve((n) => logPropensityEvidence("above", [{ propensity, ...data(n) }], offset));
		t.comment(`${pt} against ${pc} above ${offset}, chance ${propensity}: ${betting} units, the mixture ${mixture}`);
		t.ok(betting <= most * mixture, `${betting / mixture}`);
	}
});

t.test("propensity betting is symmetric in the arms, and has no evidence without data", async (t) => {
	const batches = [
		{ propensity: 0.3, challenger: { n: 300, sum: 90 }, baseline: { n: 700, sum: 350 } },
		{ propensity: 0.6, challenger: { n: 600, sum: 170 }, baseline: { n: 400, sum: 190 } },
	];
	const exchanged = batches.map(({ propensity, challenger, baseline }) => ({
		propensity: 1 - propensity,
		challenger: baseline,
		baseline: challenger,
	}));
	t.equal(logPropensityEvidence("below", batches, -0.02), logPropensityEvidence("above", exchanged, 0.02));
	t.ok(logPropensityEvidence("below", batches, 0) > Math.log(100));
	t.ok(logPropensityEvidence("above", batches, 0) < 0);
	t.ok(Math.abs(logPropensityEvidence("above", [], 0)) < 1e-12);
	for (const propensity of [0, 1, Number.NaN])
		t.ok(Number.isNaN(logPropensityEvidence("above", [{ ...batches[0], propensity } as (typeof batches)[0]], 0)));
});
