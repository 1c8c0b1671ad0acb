/** Without events in the baseline, a relative claim has no upper bound on harm. */
import t from "tap";
import { scaleOf } from "../../../src/decide/report/format.js";
import { intervalText } from "../../../src/decide/report/page/interval.js";
import { decide } from "../../../src/decide/rollout/decide.js";
import { evidence, experiment, input, LAST_STEP, METRICS, status } from "./example.js";

const none = { n: 20_000, accuracy: 0.8, errors: 0 };
const asked = input({
	status: status(LAST_STEP),
	evidence: evidence({ control: none, boosted: { ...none, accuracy: 0.85, errors: 2 / 20_000 } }),
	experiment: experiment(["boosted"], {
		guardrails: [{ metric: "error-rate", margin: { kind: "relative", value: 0.5 } }],
	}),
});

t.test("a missing bound is stored and reported as null", (t) => {
	const outcome = decide(asked);
	const errors = outcome.findings.find(({ metric }) => metric === "error-rate");
	if (errors === undefined) throw new Error("no finding about errors");
	t.equal(errors.lower, null);
	t.ok((errors.upper ?? 0) > 0.5, "better by more than half, at most");
	t.equal(errors.verdict, "open");
	t.same(JSON.parse(JSON.stringify(outcome)), outcome, "as it was, once it is stored");
	t.match(outcome.reason, "error-rate of arm boosted has no lower bound yet, needs above -0.5");
	t.match(outcome.summary, "errors may still be worse than allowed");
	t.match(intervalText(errors, scaleOf(METRICS["error-rate"], true)), /between any less and \+/);
	t.end();
});
