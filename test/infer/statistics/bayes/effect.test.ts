import { readFileSync } from "node:fs";
import t from "tap";
import { type EffectScale, effectBelief } from "../../../../src/infer/statistics/bayes/effect.js";
import { ranking } from "../../../../src/infer/statistics/bayes/ranking.js";

interface Answer {
	readonly mean: number;
	readonly sd: number;
	readonly chanceToWin: number;
	readonly risk: readonly [number, number];
}

interface Arm {
	readonly n: number;
	readonly mean: number;
	readonly variance: number;
}

const { priors } = JSON.parse(readFileSync("test/fixtures/statistics/bayes.json", "utf8")) as {
	readonly priors: { readonly a: Arm; readonly b: Arm; readonly prior: { mean: number; variance: number } } & Readonly<
		Record<`${EffectScale}PriorOn${"Absolute" | "Relative"}Effect`, Answer>
	>;
};

const moments = ({ n, mean, variance }: Arm): { n: number; mean: number; m2: number } => ({
	n,
	mean,
	m2: variance * (n - 1),
});

/** A difference N(mean, sd²) of two arms, with a baseline of 1 and a negligible error. */
const effectOf = (mean: number, sd: number, direction: "up" | "down" = "up") =>
	effectBelief({ n: 2, mean: 1 + mean, m2: 2 * sd * sd }, { n: 2, mean: 1, m2: 0 }, "absolute", null, direction);

t.test("the risk of N(0.1, 0.05²) agrees with the published one in both directions", async (t) => {
	const up = effectOf(0.1, 0.05);
	t.ok(Math.abs((up?.lossOfBaseline ?? 0) - 0.1004245351308) < 1e-12);
	t.ok(Math.abs((up?.lossOfChallenger ?? 0) - 0.0004245351308414) < 1e-14);
	t.ok(Math.abs((up?.chanceToWin ?? 0) - 0.9772498680518208) < 1e-13);
	const down = effectOf(0.1, 0.05, "down");
	t.ok(Math.abs((down?.lossOfChallenger ?? 0) - 0.1004245351308) < 1e-12);
	t.ok(Math.abs((down?.chanceToWin ?? 0) - 0.0227501319481792) < 1e-13);
});

t.test("an expected loss at 10 standard errors keeps its precision", async (t) => {
	// φ(10) − 10·Φ(−10) by mpmath at 30 digits.
	const loss = effectOf(10, 1)?.lossOfChallenger ?? 0;
	t.ok(Math.abs(loss / 7.474560254589328e-25 - 1) < 1e-8, `${loss}`);
});

t.test("relative effects of proportions agree with those published by GrowthBook", async (t) => {
	const share = (sum: number): Arm => ({
		n: 100,
		mean: sum / 100,
		variance: ((sum / 100) * (1 - sum / 100) * 100) / 100,
	});
	const belief = effectBelief(moments(share(51)), moments(share(49)), "relative", null, "up");
	t.ok(Math.abs((belief?.effect.mean ?? 0) - 0.04082) < 5e-6);
	t.ok(Math.abs((belief?.chanceToWin ?? 0) - 0.60918) < 5e-6);
	t.ok(Math.abs((belief?.lossOfBaseline ?? 0) - 0.0814) < 5e-5);
	t.ok(Math.abs((belief?.lossOfChallenger ?? 0) - 0.04058) < 5e-6);
});

t.test("a prior is converted to the effect's scale, which a peer omits", async (t) => {
	const prior = { mean: priors.prior.mean, sd: Math.sqrt(priors.prior.variance) };
	for (const kind of ["absolute", "relative"] as const)
		for (const scale of ["absolute", "relative"] as const) {
			const truth = priors[`${kind}PriorOn${scale === "absolute" ? "Absolute" : "Relative"}Effect`];
			const seen = effectBelief(moments(priors.b), moments(priors.a), scale, { scale: kind, ...prior }, "up");
			t.ok(Math.abs((seen?.effect.mean ?? 0) / truth.mean - 1) < 1e-12, `${kind} prior, ${scale} effect`);
			t.ok(Math.abs((seen?.effect.sd ?? 0) / truth.sd - 1) < 1e-12);
			t.ok(Math.abs((seen?.chanceToWin ?? 0) - truth.chanceToWin) < 1e-12);
			t.ok(Math.abs((seen?.lossOfBaseline ?? 0) - truth.risk[0]) < 1e-12);
		}
	// An absolute prior N(0, 0.2²) on a relative effect: right is the pull of N(0, 0.02²). GrowthBook's newest compares a
	// configuration object with the word "absolute", never equal, and so answers as if the prior were relative.
	const right = priors.absolutePriorOnRelativeEffect.mean;
	const theirs = priors.relativePriorOnRelativeEffect.mean;
	t.comment(`right ${right}, theirs ${theirs}`);
	t.ok(theirs - right > 0.01, "the two differ by more than a percentage point of the lift");
});

t.test("effect and ranking agree for two arms", async (t) => {
	const belief = effectBelief(moments(priors.b), moments(priors.a), "absolute", null, "up");
	const sd = ({ variance, n }: Arm): number => Math.sqrt(variance / n);
	const arms = [priors.a, priors.b].map((arm) => ({ mean: arm.mean, sd: sd(arm) }));
	const { best, loss } = ranking({ family: "gaussian", arms }, "up");
	t.ok(Math.abs((best[1] ?? 0) - (belief?.chanceToWin ?? 0)) < 1e-11);
	t.ok(Math.abs((loss[0] ?? 0) - (belief?.lossOfBaseline ?? 0)) < 1e-11);
});

t.test("an effect without a standard error, or relative to zero, has no posterior", async (t) => {
	const some = { n: 10, mean: 1, m2: 3 };
	for (const [challenger, baseline, scale] of [
		[{ n: 1, mean: 1, m2: 0 }, some, "absolute"],
		[{ n: 10, mean: 1, m2: 0 }, { n: 10, mean: 1, m2: 0 }, "absolute"],
		[some, { n: 10, mean: 0, m2: 3 }, "relative"],
		[{ n: 10, mean: Number.NaN, m2: 3 }, some, "absolute"],
	] as const)
		t.equal(effectBelief(challenger, baseline, scale, null, "up"), null);
	const prior = { scale: "relative", mean: 0, sd: 0.1 } as const;
	t.equal(effectBelief(some, { n: 10, mean: 0, m2: 3 }, "absolute", prior, "up"), null);
});
