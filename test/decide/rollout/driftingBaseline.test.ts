/** A baseline that changes after latency thresholds were frozen causes no wrong verdict. */
import t from "tap";
import { decide } from "../../../src/decide/rollout/decide.js";
import type { DecisionInput } from "../../../src/decide/rollout/decision.js";
import { evidence, experiment, input, LAST_STEP, ROLLOUT, status } from "./example.js";
import { endsIn, WORLDS } from "./simulateLatency.js";

const RUNS = 20;

for (const world of WORLDS)
	t.test(world.name, async (t) => {
		const ends = endsIn(world, RUNS);
		t.comment(`of ${RUNS}: ${JSON.stringify(ends)}`);
		const right = world.wrong === "harmed" ? ends.promoted : ends.harmed;
		// 99 % upper limit of Binomial(20, 0.05) is 4.
		t.ok(ends[world.wrong] <= 4);
		if (world.ends) t.ok(right >= RUNS - 2);
	});

const at = (control: number, boosted: number, change: Partial<DecisionInput> = {}, n = 4_000) =>
	input({ evidence: evidence({ control: { n, slow: control }, boosted: { n, slow: boosted } }), ...change });

t.test("after a change of the baseline the thresholds are dropped and frozen again from new requests", async (t) => {
	const made = at(0.2, 0.19);
	const first = decide(made);
	t.match(first, {
		action: "unfreeze-threshold",
		rule: "baseline-moved",
		reason:
			/^The baseline itself has moved: on average 20% of a person's requests over 4000 units are slower than 20 ms, its quantile 0.99 when latency-p99 was frozen \(0.336% to 2.94% would still be that\)\. Nothing can be concluded of latency-p99 until it is frozen again, from requests after 100000/,
		summary:
			/^The old version itself has become slower .*: on average 20% of a person's requests take longer than 20 ms, 1% of all requests did\./,
		status: { thresholds: {}, refreezes: { "latency-p99": { era: 2, sinceMs: 100_000, formerMs: 20 } } },
	});
	t.match(
		first.findings.find(({ metric }) => metric === "latency-p99"),
		{
			...{ verdict: "unknown", lower: null, logE: null },
			note: /^the baseline itself has moved: on average 20% of a person's requests/,
		},
	);
	// Without thresholds no unit has been measured.
	const unmeasured = {
		...made.evidence,
		arms: made.evidence.arms.map((arm) => {
			const { "latency-p99": _, ...metrics } = arm.metrics;
			return { ...arm, metrics };
		}),
	};
	const between = { ...made, evidence: unmeasured, status: first.status };
	const quantile = (requests: number) => ({ "latency-p99": { valueMs: 31, requests, units: 300 } });
	const waits = decide({ ...between, baselineQuantiles: quantile(4_999) });
	t.match(waits, { action: "hold", waitsFor: "threshold", reason: /4999 of 5000 requests/ });
	const again = decide({ ...between, baselineQuantiles: quantile(5_000) });
	t.match(again, {
		action: "freeze-threshold",
		reason: /^Frozen again, the baseline moved from 20 ms to 31 ms; latency-p99: slower than 62 ms counts as slow/,
		status: { thresholds: { "latency-p99": { thresholdMs: 62, referenceMs: 31, era: 2 } } },
	});
	const second = decide({ ...at(0.01, 0.0), status: again.status });
	t.match(
		second.findings.find(({ metric }) => metric === "latency-p99"),
		{ alpha: 0.05 / 8, harmAlpha: 0.05 / 3 / 8, verdict: "pass" },
		"the second era has an eighth of the level",
	);
	const third = decide({ ...at(0, 0), status: again.status });
	t.match(third, {
		summary: /has become faster/,
		status: { refreezes: { "latency-p99": { era: 3, formerMs: 31 } } },
	});
});

t.test(
	"a slow challenger is harm next to a baseline that became faster, and not yet next to a slower one",
	async (t) => {
		t.match(decide(at(0, 0.2)), { action: "roll-back", rule: "harm" });
		t.match(decide(at(0.2, 0.5)), { rule: "baseline-moved" });
	},
);

t.test("a challenger that stays fast passes while the baseline slows down", async (t) => {
	const outcome = decide(at(0.2, 0, { status: status(LAST_STEP) }));
	t.not(outcome.rule, "baseline-moved");
	t.equal(outcome.findings.find(({ metric }) => metric === "latency-p99")?.verdict, "pass");
});

t.test("thresholds from before a change of the baseline give no harm in a segment", async (t) => {
	const segmented = experiment(["boosted"], { segments: [{ name: "country", header: "x-country" }] });
	const segment = { segment: "country", value: "FR", rank: 0 };
	const arms = (slow: number) => [
		{ arm: "control", metrics: { "latency-p99": { n: 2_000, mean: 0.01, m2: 19.8 } } },
		{ arm: "boosted", metrics: { "latency-p99": { n: 2_000, mean: slow, m2: 300 } } },
	];
	const of = (control: number) =>
		decide({
			...at(control, control),
			experiment: segmented,
			evidence: {
				...at(control, control).evidence,
				segments: [{ ...segment, arms: arms(0.2) }],
			},
		}).rule;
	t.same([of(0.01), of(0.2)], ["harm", "baseline-moved"]);
});

t.test("a goal on a quantile finds no harm in a challenger that equals the baseline", async (t) => {
	const goal = { metric: "latency-p99", improveBy: { kind: "relative", value: 0.3 } } as const;
	const outcome = decide({ ...at(0.01, 0.03), experiment: experiment(["boosted"], { goal, guardrails: [] }) });
	t.not(outcome.rule, "harm");
	t.equal(outcome.findings[0]?.verdict, "open");
});

t.test("a goal with planned looks keeps its thresholds, so no look is repeated", async (t) => {
	const goal = { metric: "latency-p99", improveBy: { kind: "relative", value: 0.3 } } as const;
	const rollout = { ...ROLLOUT, inference: { design: "fixed-horizon", units: 1_000_000 } } as const;
	const planned = experiment(["boosted"], { goal, guardrails: [], rollout });
	t.not(decide({ ...at(0.2, 0.2), experiment: planned }).rule, "baseline-moved");
});
