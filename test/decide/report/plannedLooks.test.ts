/** A look is reported with the test that decided it. */
import t from "tap";
import { plannedLooksOf } from "../../../src/decide/report/plannedLooks.js";
import { decide } from "../../../src/decide/rollout/decide.js";
import { normalSf } from "../../../src/infer/statistics/distributions/normal.js";
import { evidence, experiment, input, LAST_STEP, ROLLOUT, status } from "../rollout/example.js";

const [N, M] = [2_000, 40_000];
const INFERENCE = { design: "fixed-horizon", units: N + M } as const;
const DECLARED = experiment(["boosted"], {
	goal: { metric: "accuracy", improveBy: { kind: "relative", value: 0 } },
	guardrails: [],
	rollout: { ...ROLLOUT, maxDurationMs: null, inference: INFERENCE },
});
const WEIGHED = {
	...DECLARED,
	spec: { ...DECLARED.spec, arms: DECLARED.spec.arms.map((arm) => ({ ...arm, weight: arm.baseline ? M : N })) },
};

t.test("a planned look's p-value and bound agree with its z", async (t) => {
	for (const events of [15, 18, 19, 20, 21, 24]) {
		const given = input({
			experiment: WEIGHED,
			status: status(LAST_STEP),
			evidence: evidence(
				{ control: { n: M, accuracy: 240 / M }, boosted: { n: N, accuracy: events / N } },
				{
					exposures: [
						{
							planVersion: "p2",
							firstMs: 1,
							counts: { control: M, boosted: N },
							livePoints: { control: M, boosted: N },
						},
					],
				},
			),
		});
		const outcome = decide(given);
		t.equal(outcome.action, "look", outcome.reason);
		const decision = {
			...{ experiment: "main", sequence: 1, atMs: given.nowMs, by: "weir", input: given, outcome },
			acknowledgedAtMs: null,
		};
		const [look] = plannedLooksOf({ experiment: WEIGHED, status: outcome.status, decisions: [decision] });
		const { z, proved, test } = look?.arms[0] ?? {};
		t.equal(test?.z, z, `${events} events`);
		t.ok(Math.abs((test?.pValue ?? 2) - normalSf(z ?? 0)) < 1e-12);
		t.equal((test?.lower ?? -1) > 0, proved);
		t.equal(test?.lower, outcome.status.looks?.[0]?.effects?.boosted?.lower);
	}
});
