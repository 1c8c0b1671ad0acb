/** False discoveries over many Experiments: e-BH on the e-values of their goals. */
import t from "tap";
import { decide } from "../../../src/decide/rollout/decide.js";
import { goalLogE, meanLogE, provedTogether } from "../../../src/decide/rollout/fleet.js";
import { compare } from "../../../src/infer/statistics/comparison.js";
import { eraShare } from "../../../src/infer/statistics/frozenReference.js";
import { CENTRE, gridQuantiles, logQuantileInside } from "../../../src/infer/statistics/quantileGrid.js";
import { isMeasured, type Question } from "../../../src/infer/statistics/question.js";
import type { DecisionLog } from "../../../src/operate/state/store/decisionLog.js";
import { lastDecisionIn } from "../../../src/operate/state/store/lastDecision.js";
import { evidence, experiment, input, LAST_STEP, METRICS, metric, rate, status } from "./example.js";

t.test("one proof among many experiments holds only if it is significant among all of them", async (t) => {
	const member = (experiment: string, e: number | null) => ({ experiment, logE: e === null ? null : Math.log(e) });
	t.same(provedTogether([member("a", 20)]), ["a"], "a single e-value of 20 is 5 %");
	t.same(provedTogether([member("a", 19)]), []);
	t.same(provedTogether([member("a", 20), member("b", 1)]), [], "one of two needs 40");
	t.same(provedTogether([member("a", 39), member("b", 1)]), []);
	t.same(provedTogether([member("b", 1), member("a", 41)]), ["a"]);
	t.same(provedTogether([member("a", 21), member("b", 22)]), ["a", "b"], "two together need 20 each");
	t.same(provedTogether([member("a", 21), member("b", null)]), [], "untested hypotheses count too");
	t.same(provedTogether([]), []);
});

t.test("an Experiment's e-value is the mean over its challengers' goals", async (t) => {
	const of = (challengers: string[], arms: Parameters<typeof evidence>[0], closedArms: string[] = []) => {
		const asked = input({
			experiment: experiment(challengers),
			status: status({ ...LAST_STEP, closedArms }),
			evidence: evidence(arms),
		});
		return { input: asked, outcome: decide(asked) };
	};
	const good = { n: 3_000, accuracy: 0.85 };
	const one = of(["boosted"], { control: { n: 3_000 }, boosted: good });
	const goal = one.outcome.findings.find(({ role }) => role === "goal");
	t.equal(goalLogE(one), goal?.logE);
	t.ok(
		(goal?.logE ?? 0) > -Math.log(goal?.alpha ?? 1) && goal?.verdict === "pass",
		"proved where it reaches ln(1/alpha)",
	);
	const arms = { control: { n: 3_000 }, boosted: good, idle: { n: 3_000 } };
	const two = goalLogE(of(["boosted", "idle"], arms)) ?? 0;
	t.ok(Math.abs(two - ((goal?.logE ?? 0) - Math.LN2)) < 0.01);
	t.ok(Math.abs((goalLogE(of(["boosted", "idle"], arms, ["idle"])) ?? 0) - two) < 0.01, "a closed arm still shares");
	t.equal(goalLogE(of(["boosted", "idle"], arms, ["boosted", "idle"])), null);
	t.equal(goalLogE({ ...one, input: null }), null, "an operator's command");
});

t.test("e-values of goals without effect have a mean of at most 1, even if arms are closed or hidden", async (t) => {
	// Means, whose ln e was once cut off at 0: the mean of max(1, e) lies far above 1.
	let state = 7;
	const uniform = (): number => {
		state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
		return (state + 0.5) / 2 ** 32;
	};
	const normal = (): number => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
	const question: Question = {
		metric: metric("m", { type: "mean" }),
		role: "goal",
		effect: { kind: "absolute", value: 0 },
		slowLine: 0,
		reference: null,
		meanUnits: 2_000,
		shares: { challenger: 1, baseline: 1 },
		alpha: 0.05,
		harmAlpha: 0.05,
	};
	let [sum, cut] = [0, 0];
	const runs = 20_000;
	for (let run = 0; run < runs; run++) {
		const arm = () => ({ n: 5_000, mean: normal() / Math.sqrt(5_000), m2: 5_000 });
		const [baseline, arms] = [arm(), [arm(), arm()]];
		const found = arms.flatMap((one): number[] => {
			const result = compare(question, one, baseline);
			if (!isMeasured(result)) throw new Error(result.note);
			// An arm that looks bad is closed.
			return (result.improvement ?? 0) < -0.02 ? [] : [result.logE];
		});
		sum += Math.exp(meanLogE(found, 2) ?? -Infinity);
		cut += (2 - found.length + found.reduce((all, logE) => all + Math.max(1, Math.exp(logE)), 0)) / 2;
	}
	t.ok(sum / runs < 1.02, `${sum / runs}`);
	t.ok(cut / runs > 1.2, `cut off at 1: ${cut / runs}`);
});

t.test("a goal on a quantile counts by the least certain cell of its grid", async (t) => {
	const n = 20_000;
	const above = gridQuantiles(0.9).map((q) => 1 - q);
	const entry = (boosted: readonly number[], era = 1) => {
		const shares: Readonly<Record<string, readonly number[]>> = { control: above.map((p) => 0.85 * p), boosted };
		const made = evidence({ control: { n }, boosted: { n } });
		const arms = made.arms.map((arm) => {
			const slow = shares[arm.arm] ?? [];
			return { ...arm, metrics: { "goal-p90": { ...rate(n, slow[CENTRE] ?? 0), slow } } };
		});
		const gridMs = above.map((_, index) => 15 + index / 2);
		const frozen = { thresholdMs: 18, referenceMs: 20, era, gridMs, frozenAtMs: 40_000, sampleSize: 9_000 };
		const asked = input({
			experiment: experiment(["boosted", "other"], {
				goal: { metric: "goal-p90", improveBy: { kind: "relative", value: 0.1 } },
				guardrails: [],
			}),
			metrics: {
				...METRICS,
				"goal-p90": metric("goal-p90", { type: "quantile", source: "latency", direction: "down", quantile: 0.9 }),
			},
			status: status({ ...LAST_STEP, thresholds: { "goal-p90": frozen } }),
			evidence: { ...made, arms },
		});
		const outcome = decide(asked);
		const decision = { sequence: 1, atMs: 1, by: "weir", acknowledgedAtMs: null, input: asked, outcome };
		const log = { last: () => 1, page: () => ({ decisions: [decision] }) } as unknown as DecisionLog;
		return { finding: outcome.findings[0], logE: lastDecisionIn(log, "main")?.goalLogE ?? null };
	};
	const sample = (slow: readonly number[]) => ({ n, slow });
	const least = (boosted: readonly number[]) =>
		logQuantileInside(
			{ quantile: 0.9, tolerance: 0, shares: { challenger: 1, baseline: 1 } },
			sample(boosted),
			sample(above.map((p) => 0.85 * p)),
		);
	// The mean over two arms, in the era with three quarters of the level.
	const inFleet = (logE: number): number => logE + Math.log(3 / 4 / 2);
	// Twelve of a hundred requests above all thresholds below the frozen one, and few above that.
	const far = above.map((_, index) => (index < CENTRE ? 0.12 : 0.06));
	const open = entry(far);
	t.match(open.finding, { verdict: "open", note: /not yet for every place/ });
	t.ok((open.finding?.logE ?? 0) > 30, "one threshold alone would prove it");
	t.ok(open.logE !== null && Math.abs(open.logE - inFleet(least(far))) < 1e-9 && open.logE < Math.log(20));
	const good = above.map((p) => 0.3 * p);
	const proved = entry(good);
	t.match(proved.finding, { verdict: "pass" });
	t.ok((proved.logE ?? 0) > 100, "far more than the 20 of its verdict: it is significant among thousands");
	t.ok(Math.abs((proved.logE ?? 0) - inFleet(Math.min(least(good), proved.finding?.logE ?? 0))) < 1e-9);
	// At the limit of a proof the e-value is exactly sufficient, in each era at its part of the level.
	for (const era of [1, 2, 3]) {
		const of = entry(good, era);
		t.ok(Math.abs((of.logE ?? 0) - (proved.logE ?? 0) - Math.log(eraShare(era) / eraShare(1))) < 1e-9);
		const alpha = of.finding?.alpha ?? 0;
		t.ok(Math.abs(Math.log(eraShare(era) / alpha / 2) - Math.log(20)) < 1e-9, "1 / alpha at its level");
	}
	t.equal(entry([]).logE, null, "without a grid");
});
