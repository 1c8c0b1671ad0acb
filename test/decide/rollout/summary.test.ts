/** The summary sentence of each kind of decision. */
import t from "tap";
import { decide } from "../../../src/decide/rollout/decide.js";
import type { DecisionInput } from "../../../src/decide/rollout/decision.js";
import { commandOutcome } from "../../../src/decide/rollout/person.js";
import { better, plain, worse } from "../../../src/decide/rollout/summary.js";
import type { Effect } from "../../../src/declare/resources/resource.js";
import type { Finding } from "../../../src/infer/statistics/finding.js";
import { type ArmSpec, evidence, experiment, input, LAST_STEP, METRICS, metric, ROLLOUT, status } from "./example.js";

const summary = (boosted: ArmSpec, more: Partial<DecisionInput> = {}): string | undefined =>
	decide(input({ evidence: evidence({ control: { n: boosted.n, accuracy: 0.78 }, boosted }), ...more })).summary;

const finding = (more: Partial<Finding>): Finding => ({
	...{ metric: "accuracy", arm: "boosted", role: "goal", method: "bernoulli-mixture", verdict: "pass", note: "" },
	...{ baseline: { n: 900, mean: 0.8 }, challenger: { n: 900, mean: 0.9 }, standardError: null, logE: null },
	...{ improvement: null, lower: null, upper: null, line: 0, relative: false, alpha: 0.05, harmAlpha: 0.05 },
	...more,
});

const slow = (effect: Effect) => ({ metric: "latency-p99", slow: { baselineMs: 20, challengerMs: 40, effect } });

t.test("a summary has the cause, then the effect", async (t) => {
	const won = { n: 8_000, accuracy: 0.83 };
	const last = { status: status(LAST_STEP) };
	t.equal(
		summary(won, last),
		"accuracy is 5 points better (at least 2.9); p99 latency and errors are fine: v2 takes over.",
		"promotion",
	);
	t.equal(summary({ n: 2_000, slow: 0.3 }), "p99 latency is at least 100% worse: v2 is rolled back.", "a guardrail");
	t.equal(
		summary({ n: 2_000, accuracy: 0.6 }),
		"accuracy is 18 points worse (at least 13): v2 is rolled back.",
		"harm to the goal",
	);
	const uneven = evidence({ control: { n: 2_000 }, boosted: { n: 1_000 } });
	t.equal(
		decide(input({ evidence: uneven })).summary,
		"people are not split between the versions as they should be: paused until a person decides.",
	);
	const over = { status: status({ ...LAST_STEP, startedAtMs: -600_000 }) };
	t.equal(summary({ n: 1_000, accuracy: 0.78 }, over), "no clear result after 11.7 min: v1 stays.");
	const pausing = { experiment: experiment(["boosted"], { rollout: { ...ROLLOUT, onInconclusive: "pause" } }) };
	t.equal(
		summary({ n: 1_000, accuracy: 0.78 }, { ...over, ...pausing }),
		"no clear result after 11.7 min: paused until a person decides.",
	);
	t.equal(
		summary({ n: 2_000, accuracy: 0.79 }, last),
		"Waiting at 100%: accuracy is not proved better by 0.5 points yet; now it is 1 point better.",
		"a hold",
	);
	const person = { experiment: experiment(), status: status(), by: "ada", nowMs: 1 };
	t.equal(commandOutcome(person, { verb: "pause" }).summary, "Paused at 20% by ada.");
});

t.test("a size has the unit of its metric, and an arm's name only if there are several", async (t) => {
	const metrics = { ...METRICS, wait: metric("wait", { type: "mean", source: "latency" }) };
	const one = { experiment: experiment(), metrics };
	const two = { experiment: experiment(["boosted", "deep"]), metrics };
	const harm = (more: Partial<Finding>) => worse(finding({ role: "guardrail", verdict: "harm", ...more }), one);
	t.equal(harm({ metric: "error-rate", improvement: -0.2, upper: -0.12 }), "errors are 20 points worse (at least 12)");
	t.equal(harm({ improvement: -0.01 }), "accuracy is 1 point worse");
	t.equal(
		harm({ metric: "revenue", relative: true, improvement: -0.4, upper: -0.22 }),
		"revenue is 40% worse (at least 22%)",
	);
	t.equal(harm({ metric: "wait", improvement: -12.34, upper: -3 }), "wait is 12 ms worse (at least 3 ms)");
	t.equal(harm(slow({ kind: "absolute", value: 20 })), "p99 latency is at least 20 ms worse");
	t.equal(harm(slow({ kind: "relative", value: 0 })), "p99 latency is worse", "without a margin there is no size");
	t.equal(
		harm({ ...slow({ kind: "relative", value: 0.3 }), role: "goal" }),
		"p99 latency is worse",
		"asked was a gain",
	);
	t.same(better(finding(slow({ kind: "relative", value: 0.3 })), [], one), ["p99 latency is at least 30% better"]);
	t.same(better(finding({}), [finding({ metric: "error-rate", role: "guardrail" })], one), [
		"accuracy is better",
		"errors are fine",
	]);
	const segment = { name: "country", value: "DE" };
	t.equal(worse(finding({ segment }), two), "accuracy of boosted where country is DE is worse");
	t.equal(plain(["a is worse", "b is worse"], "c is rolled back"), "a is worse; b is worse: c is rolled back.");
});
