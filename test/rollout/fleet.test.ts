/** Many experiments looked at together: e-BH on the e-values of their goals. */
import t from "tap";
import { decide } from "../../src/rollout/decide.js";
import { goalLogE, provedTogether } from "../../src/rollout/fleet.js";
import { evidence, experiment, input, LAST_STEP, status } from "./example.js";

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
	t.equal(goalLogE(one), goal?.logE);
	t.ok(
		(goal?.logE ?? 0) > -Math.log(goal?.alpha ?? 1) && goal?.verdict === "pass",
		"proved where it reaches ln(1/alpha)",
	);
	const two = of(["boosted", "idle"], { control: { n: 3_000 }, boosted: good, idle: { n: 3_000 } }).findings;
	t.ok(Math.abs((goalLogE(two) ?? 0) - ((goal?.logE ?? 0) - Math.LN2)) < 0.01);
	t.equal(goalLogE([]), null);
});
