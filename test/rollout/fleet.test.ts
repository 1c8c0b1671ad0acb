/** Many experiments looked at together: e-BH on the e-values of their goals. */
import t from "tap";
import { compare } from "../../src/analysis/comparison.js";
import type { Finding } from "../../src/analysis/finding.js";
import { isMeasured, type Question } from "../../src/analysis/question.js";
import { decide } from "../../src/rollout/decide.js";
import { goalLogE, provedTogether } from "../../src/rollout/fleet.js";
import { evidence, experiment, input, LAST_STEP, metric, status } from "./example.js";

const BLANK: Finding = {
	...{ metric: "m", arm: "a", role: "goal", method: "asympcs", improvement: null, lower: null, upper: null },
	...{ line: 0, alpha: 0.05, verdict: "open", note: "" },
	baseline: { n: 0, mean: 0 },
	challenger: { n: 0, mean: 0 },
};

t.test("one proof among many is proved only if it stands out among all of them", async (t) => {
	const member = (experiment: string, e: number | null) => ({ experiment, logE: e === null ? null : Math.log(e) });
	t.same(provedTogether([member("a", 20)]), ["a"], "alone: e of 20 is 5 %");
	t.same(provedTogether([member("a", 19)]), []);
	t.same(provedTogether([member("a", 20), member("b", 1)]), [], "of two it must be 40");
	t.same(provedTogether([member("a", 39), member("b", 1)]), []);
	t.same(provedTogether([member("b", 1), member("a", 41)]), ["a"]);
	t.same(provedTogether([member("a", 21), member("b", 22)]), ["a", "b"], "two together need 20 each");
	t.same(provedTogether([member("a", 21), member("b", null)]), [], "what was not tested counts all the same");
	t.same(provedTogether([]), []);
});

t.test("an experiment's e-value is the mean over its challengers' goals", async (t) => {
	const of = (challengers: string[], arms: Parameters<typeof evidence>[0]) =>
		decide(input({ experiment: experiment(challengers), status: status(LAST_STEP), evidence: evidence(arms) }));
	const good = { n: 3_000, accuracy: 0.85 };
	const one = of(["boosted"], { control: { n: 3_000 }, boosted: good }).findings;
	const goal = one.find(({ role }) => role === "goal");
	t.equal(goalLogE(one, 1), goal?.logE);
	t.ok(
		(goal?.logE ?? 0) > -Math.log(goal?.alpha ?? 1) && goal?.verdict === "pass",
		"proved where it reaches ln(1/alpha)",
	);
	const two = of(["boosted", "idle"], { control: { n: 3_000 }, boosted: good, idle: { n: 3_000 } }).findings;
	t.ok(Math.abs((goalLogE(two, 2) ?? 0) - ((goal?.logE ?? 0) - Math.LN2)) < 0.01);
	t.equal(goalLogE([], 2), null);
	const closed = two.filter(({ arm }) => arm === "boosted");
	t.ok(Math.abs((goalLogE(closed, 2) ?? 0) - (goalLogE(two, 2) ?? 0)) < 0.01, "a closed arm still shares");
});

t.test("e-values of goals that do nothing have a mean of at most 1, whatever closes arms or hides them", async (t) => {
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
		const found = arms.flatMap((one): Finding[] => {
			const result = compare(question, one, baseline);
			if (!isMeasured(result)) throw new Error(result.note);
			// An arm that looks bad is closed.
			return (result.improvement ?? 0) < -0.02 ? [] : [{ ...BLANK, logE: result.logE }];
		});
		sum += Math.exp(goalLogE(found, 2) ?? -Infinity);
		cut += (2 - found.length + found.reduce((all, { logE }) => all + Math.max(1, Math.exp(logE ?? 0)), 0)) / 2;
	}
	t.ok(sum / runs < 1.02, `${sum / runs}`);
	t.ok(cut / runs > 1.2, `cut off at 1: ${cut / runs}`);
});
