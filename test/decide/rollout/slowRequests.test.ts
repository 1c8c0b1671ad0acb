/**
 * Sentences about a latency quantile. Each arm has its own threshold, and the margin lies between the two. The summary
 * has only the verdict or how much worse it is at least; the reason names both thresholds.
 */
import t from "tap";
import { decide } from "../../../src/decide/rollout/decide.js";
import type { DecisionInput, Outcome } from "../../../src/decide/rollout/decision.js";
import { recompute } from "../../../src/decide/rollout/recompute.js";
import { type ArmSpec, evidence, experiment, input, LAST_STEP, status } from "./example.js";

const decided = (boosted: ArmSpec, given: Partial<DecisionInput> = {}): { made: DecisionInput; outcome: Outcome } => {
	const made = input({
		status: status(LAST_STEP),
		evidence: evidence({ control: { n: boosted.n, accuracy: 0.78, slow: 0.01 }, boosted }),
		...given,
	});
	return { made, outcome: decide(made) };
};

const recomputes = ({ made, outcome }: ReturnType<typeof decided>): boolean => {
	const stored = { experiment: "main", sequence: 1, atMs: 1, by: "weir", input: made, outcome, acknowledgedAtMs: null };
	return recompute(JSON.parse(JSON.stringify(stored)))?.matches === true;
};

t.test("the reason of a pass names both thresholds, and the summary calls it fine", (t) => {
	const passed = decided({ n: 20_000, accuracy: 0.83, slow: 0.0056 });
	t.match(passed.outcome, {
		action: "promote",
		summary: /; p99 latency and errors are fine: v2 takes over\.$/,
	});
	t.match(
		passed.outcome.reason,
		/latency-p99 within its margin \(on average 0\.56% of a person's requests took longer than 40 ms \(20 ms \+ 100%\), 1% of the baseline's longer than 20 ms; improvement at least 0\.001\d* against the line -0\.0025\)/,
	);
	t.match(passed.outcome.findings[0], {
		slow: { baselineMs: 20, challengerMs: 40, effect: { kind: "relative", value: 1 } },
	});
	t.ok(recomputes(passed));
	t.end();
});

t.test("the reason of harm names the line that was tested", (t) => {
	const harmed = decided({ n: 800_000, accuracy: 0.78, slow: 0.0112 });
	t.match(harmed.outcome, {
		action: "roll-back",
		summary: "p99 latency is at least 100% worse: v2 is rolled back.",
		reason:
			/is proved beyond its margin: on average 1\.12% .*; improvement -0\.0012, at most -0\.00058?\d* at all looks, harm is below 0 \(/,
	});
	t.notMatch(harmed.outcome.reason, /-0\.0025/);
	t.ok(recomputes(harmed));
	t.end();
});

t.test("an open latency claim is described with its own thresholds", (t) => {
	const open = decided({ n: 1_000, accuracy: 0.83, slow: 0.01 });
	t.match(open.outcome, { action: "hold", waitsFor: "proof" });
	t.match(open.outcome.summary, /p99 latency may still be worse than allowed/);
	t.match(
		open.outcome.reason,
		/latency-p99 of arm boosted by requests above 40 ms \(20 ms \+ 100%\) against the baseline's above 20 ms is at least -0\.0\d+, needs above -0\.0025/,
	);
	t.end();
});

t.test("sentences cover margins in milliseconds, zero margins, and a goal of lower latency", (t) => {
	const limited = (kind: "absolute" | "relative", value: number, thresholdMs: number) => {
		const own = experiment(["boosted"], { guardrails: [{ metric: "latency-p99", margin: { kind, value } }] });
		const thresholds = { "latency-p99": { thresholdMs, referenceMs: 20, frozenAtMs: 5_000, sampleSize: 900, era: 1 } };
		const given = { experiment: own, status: status({ ...LAST_STEP, thresholds }) };
		return decided({ n: 20_000, accuracy: 0.83, slow: 0.004 }, given).outcome.reason;
	};
	t.match(limited("absolute", 5, 25), /0\.4% of a person's requests took longer than 25 ms \(20 ms \+ 5 ms\), 1% of/);
	t.match(
		limited("relative", 0, 20),
		/0\.4% of a person's requests took longer than 20 ms, 1% of the baseline's longer than 20 ms/,
	);
	const goal = experiment(["boosted"], {
		guardrails: [],
		goal: { metric: "latency-p99", improveBy: { kind: "relative", value: 0.1 } },
	});
	const thresholds = {
		"latency-p99": { thresholdMs: 18, referenceMs: 20, frozenAtMs: 5_000, sampleSize: 900, era: 1 },
	};
	const faster = decided(
		{ n: 20_000, slow: 0.004 },
		{ experiment: goal, status: status({ ...LAST_STEP, thresholds }) },
	);
	t.match(
		faster.outcome.reason,
		/latency-p99 better \(on average 0\.4% of a person's requests took longer than 18 ms \(20 ms - 10%\), 1% of the baseline's longer than 20 ms; /,
	);
	t.end();
});
