import t from "tap";
import { decide } from "../../../src/decide/rollout/decide.js";
import type { DecisionInput, Outcome } from "../../../src/decide/rollout/decision.js";
import { applyExperiment, startExperiment } from "../../../src/decide/rollout/declaration.js";
import { heldByGate } from "../../../src/decide/rollout/gate.js";
import { commandOutcome } from "../../../src/decide/rollout/person.js";
import { recomputationText, recompute } from "../../../src/decide/rollout/recompute.js";
import { evidence, experiment, input, LAST_STEP, METRICS, metric, ROLLOUT, rate, status } from "./example.js";

const PROMOTING = {
	...LAST_STEP,
	phase: "Promoting" as const,
	promotion: { arm: "boosted", variant: "v2", stepIndex: 0, takeoverPpm: 200_000 },
};
const GOOD = { control: { n: 6_000, accuracy: 0.78 }, boosted: { n: 6_000, accuracy: 0.83 } };
const EQUAL = { control: { n: 300 }, boosted: { n: 300 } };
const SKEWED = { control: { n: 300, exposed: 3_000 }, boosted: { n: 300, exposed: 2_400 } };
const fresh = status({ thresholds: {} });
const health = (requests: number, failures: number) => [
	{ variant: "v1", requests: 500, failures: 0 },
	{ variant: "v2", requests, failures },
];

interface Case {
	readonly fact: string;
	readonly input: Partial<DecisionInput>;
	readonly action: Outcome["action"];
	readonly rule: Outcome["rule"];
	readonly waitsFor?: Outcome["waitsFor"];
	readonly reason: RegExp;
	readonly status?: Partial<Outcome["status"]>;
	readonly defaultVariant?: string;
}

const CASES: readonly Case[] = [
	{
		fact: "errors proved worse than the margin roll back, below minUnits",
		input: { evidence: evidence({ control: { n: 60 }, boosted: { n: 60, errors: 0.5 } }) },
		action: "roll-back",
		rule: "harm",
		reason:
			/^Rolled back: error-rate of arm boosted is proved worse than its margin -0.005: improvement -0.5, at most -0\.\d+/,
		status: { phase: "RolledBack", allocationPpm: 0, closedArms: ["boosted"] },
	},
	{
		fact: "slow requests proved past the frozen threshold roll back",
		input: { evidence: evidence({ control: { n: 150 }, boosted: { n: 150, slow: 0.9 } }) },
		action: "roll-back",
		rule: "harm",
		reason:
			/latency-p99 of arm boosted is proved beyond its margin: on average 90% of a person's requests took longer than 40 ms \(20 ms \+ 100%\)/,
	},
	{
		fact: "the goal proved worse than zero rolls back",
		input: { evidence: evidence({ control: { n: 300, accuracy: 0.78 }, boosted: { n: 300, accuracy: 0.53 } }) },
		action: "roll-back",
		rule: "harm",
		reason: /accuracy of arm boosted is proved worse than no change: improvement -0.25/,
	},
	{
		fact: "harm comes before SRM",
		input: {
			evidence: evidence({ control: { n: 300, exposed: 3_000 }, boosted: { n: 300, errors: 0.5, exposed: 2_000 } }),
		},
		action: "roll-back",
		rule: "harm",
		reason: /error-rate/,
	},
	{
		fact: "harm rolls back while SRM holds",
		input: {
			status: status({ phase: "Paused", hold: "srm" }),
			evidence: evidence({ control: { n: 100 }, boosted: { n: 100, errors: 0.5 } }),
		},
		action: "roll-back",
		rule: "harm",
		reason: /error-rate/,
		status: { phase: "RolledBack", hold: null },
	},
	{
		fact: "of several challengers only the harmful one is closed",
		input: {
			experiment: experiment(["boosted", "broken"]),
			evidence: evidence({ control: { n: 300 }, boosted: { n: 300 }, broken: { n: 300, errors: 0.4 } }),
		},
		action: "close-arm",
		rule: "harm",
		reason: /^Closed broken, boosted goes on/,
		status: { phase: "Running", closedArms: ["broken"], allocationPpm: 200_000 },
	},
	{
		fact: "an Experiment without open challengers is rolled back",
		input: {
			experiment: experiment(["boosted", "broken"]),
			status: status({ closedArms: ["broken"] }),
			evidence: evidence({ control: { n: 300 }, boosted: { n: 300, errors: 0.4 } }),
		},
		action: "roll-back",
		rule: "harm",
		reason: /arm boosted/,
		status: { closedArms: ["broken", "boosted"] },
	},
	{
		fact: "a closed arm's evidence is not judged again",
		input: {
			experiment: experiment(["boosted", "broken"]),
			status: status({ closedArms: ["broken"], stepStartedAtMs: 99_000 }),
			evidence: evidence({ control: { n: 300 }, boosted: { n: 300 }, broken: { n: 300, errors: 0.4 } }),
		},
		action: "hold",
		rule: "wait",
		waitsFor: "step-time",
		reason: /2 s of this step are left/,
	},
	{
		fact: "a latency threshold is frozen from enough earlier requests",
		input: { status: fresh, baselineQuantiles: { "latency-p99": { valueMs: 20, requests: 5_000, units: 200 } } },
		action: "freeze-threshold",
		rule: "freeze-threshold",
		reason:
			/slower than 40 ms counts as slow, in the baseline slower than 20 ms .* was 20 ms over 5000 requests of 200 units/,
		status: {
			thresholds: {
				"latency-p99": { thresholdMs: 40, referenceMs: 20, frozenAtMs: 100_000, sampleSize: 5_000, era: 1 },
			},
		},
	},
	{
		fact: "the reason has the quantile's precision",
		input: {
			status: fresh,
			baselineQuantiles: { "latency-p99": { valueMs: 20, standardErrorMs: 0.25, requests: 5_000, units: 200 } },
		},
		action: "freeze-threshold",
		rule: "freeze-threshold",
		reason: /over 5000 requests of 200 units, standard error 0.25 ms\)/,
	},
	{
		fact: "too few requests freeze nothing",
		input: { status: fresh, baselineQuantiles: { "latency-p99": { valueMs: 20, requests: 4_999, units: 300 } } },
		action: "hold",
		rule: "wait",
		waitsFor: "threshold",
		reason: /4999 of 5000 requests and 300 of 200 units/,
	},
	{
		fact: "too few units freeze nothing",
		input: { status: fresh, baselineQuantiles: { "latency-p99": { valueMs: 20, requests: 6_000, units: 199 } } },
		action: "hold",
		rule: "wait",
		waitsFor: "threshold",
		reason: /199 of 200 units/,
	},
	{
		fact: "a sample ratio mismatch pauses instead of ramping",
		input: { evidence: evidence(SKEWED) },
		action: "pause",
		rule: "srm",
		reason: /sample ratio mismatch, p \S+e-\d+ over 5400 exposed units/,
		status: { phase: "Paused", hold: "srm", allocationPpm: 200_000 },
	},
	{
		fact: "a sample ratio mismatch pauses instead of promoting",
		input: {
			status: status(LAST_STEP),
			evidence: evidence({
				control: { ...GOOD.control, exposed: 9_000 },
				boosted: { ...GOOD.boosted, exposed: 8_000 },
			}),
		},
		action: "pause",
		rule: "srm",
		reason: /mismatch/,
	},
	{
		fact: "SRM holds until a person resumes",
		input: { status: status({ phase: "Paused", hold: "srm" }), evidence: evidence(EQUAL) },
		action: "hold",
		rule: "srm",
		waitsFor: "person",
		reason: /Paused at 20% by a sample ratio mismatch/,
	},
	{
		fact: "after a person resumed the exposures so far are accepted",
		input: { status: status({ acceptedExposures: "pending" }), evidence: evidence(SKEWED) },
		action: "resume",
		rule: "srm",
		reason: /counted anew/,
		status: { phase: "Running", acceptedExposures: { p1: { control: 3_000, boosted: 2_400 } } },
	},
	{
		fact: "accepted exposures do not pause again",
		input: {
			status: status({ acceptedExposures: { p1: { control: 3_000, boosted: 2_400 } } }),
			evidence: evidence(SKEWED),
		},
		action: "ramp",
		rule: "ramp",
		reason: /Ramped/,
	},
	{
		fact: "a person's pause holds what would ramp",
		input: { status: status({ phase: "Paused", hold: "person" }), evidence: evidence(EQUAL) },
		action: "hold",
		rule: "person",
		waitsFor: "person",
		reason: /by a person/,
	},
	{
		fact: "minUnits and the step's time ramp",
		input: { evidence: evidence(EQUAL) },
		action: "ramp",
		rule: "ramp",
		reason:
			/^Ramped from 20% to 50%: 300 matured units in the smallest arm control \(needs 200\), 5 s at this step, no harm\.$/,
		status: { stepIndex: 1, allocationPpm: 500_000, stepStartedAtMs: 100_000 },
	},
	{
		fact: "199 units in one arm do not ramp",
		input: { evidence: evidence({ control: { n: 300 }, boosted: { n: 199, exposed: 300 } }) },
		action: "hold",
		rule: "wait",
		waitsFor: "units",
		reason: /arm boosted has 199 of 200/,
	},
	{
		fact: "no data at all does not ramp",
		input: {},
		action: "hold",
		rule: "wait",
		waitsFor: "units",
		reason: /arm control has 0 of 200 matured units/,
	},
	{
		fact: "an arm missing from the evidence does not ramp",
		input: { evidence: evidence({ control: { n: 300 } }) },
		action: "hold",
		rule: "wait",
		waitsFor: "units",
		reason: /arm boosted has 0 of 200/,
	},
	{
		fact: "a metric without data does not ramp",
		input: {
			experiment: experiment(["boosted"], { goal: { metric: "revenue", improveBy: { kind: "absolute", value: 1 } } }),
			evidence: evidence(EQUAL),
		},
		action: "hold",
		rule: "wait",
		waitsFor: "units",
		reason: /0 of 200 matured units of revenue/,
	},
	{
		fact: "the step's time is waited for",
		input: { status: status({ stepStartedAtMs: 98_000 }), evidence: evidence(EQUAL) },
		action: "hold",
		rule: "wait",
		waitsFor: "step-time",
		reason: /1 s of this step are left/,
	},
	{
		fact: "a proved improvement within every margin promotes at the last step",
		input: { status: status(LAST_STEP), evidence: evidence(GOOD) },
		action: "promote",
		rule: "promote",
		reason: /^Promoted arm boosted \(variant v2\): .*accuracy at least 0\.0\d+ against the line 0.005/,
		status: {
			phase: "Promoting",
			stepStartedAtMs: 100_000,
			promotion: { arm: "boosted", variant: "v2", stepIndex: 0, takeoverPpm: 200_000 },
		},
	},
	{
		fact: "the same evidence before the last step only ramps",
		input: { evidence: evidence(GOOD) },
		action: "ramp",
		rule: "ramp",
		reason: /Ramped/,
	},
	{
		fact: "of several winners the highest lower bound is promoted",
		input: {
			experiment: experiment(["good", "best"]),
			status: status(LAST_STEP),
			evidence: evidence({ control: GOOD.control, good: GOOD.boosted, best: { n: 6_000, accuracy: 0.86 } }),
		},
		action: "promote",
		rule: "promote",
		reason: /^Promoted arm best/,
	},
	{
		fact: "a guardrail that is not proved inside its margin does not promote",
		input: {
			status: status(LAST_STEP),
			evidence: evidence({ control: GOOD.control, boosted: { ...GOOD.boosted, errors: 0.005 } }),
		},
		action: "hold",
		rule: "wait",
		waitsFor: "proof",
		reason: /^Holding at 100%: error-rate of arm boosted is at least -0.0\d+, needs above -0.005\.$/,
	},
	{
		fact: "a guardrail without a Metric is unknown, never a pass",
		input: {
			status: status(LAST_STEP),
			evidence: evidence(GOOD),
			metrics: { ...METRICS, "error-rate": metric("error-rate", { type: "ratio", source: "errors" }) },
		},
		action: "hold",
		rule: "wait",
		waitsFor: "proof",
		reason: /error-rate of arm boosted is unknown: ratio/,
	},
	{
		fact: "without a goal only a person promotes",
		input: { experiment: experiment(["boosted"], { goal: null }), status: status(LAST_STEP), evidence: evidence(GOOD) },
		action: "hold",
		rule: "wait",
		waitsFor: "person",
		reason: /no goal is declared/,
	},
	{
		fact: "maxDuration keeps the default",
		input: { status: status({ ...LAST_STEP, startedAtMs: -600_000 }), evidence: evidence(EQUAL) },
		action: "roll-back",
		rule: "max-duration",
		reason: /Back to the default: no verdict after 11.7 min of at most 10 min/,
		status: { phase: "RolledBack", allocationPpm: 0, closedArms: [] },
	},
	{
		fact: "maxDuration pauses if declared so",
		input: {
			experiment: experiment(["boosted"], { rollout: { ...ROLLOUT, onInconclusive: "pause" } }),
			status: status({ ...LAST_STEP, startedAtMs: -600_000 }),
			evidence: evidence(EQUAL),
		},
		action: "pause",
		rule: "max-duration",
		reason: /a person decides/,
		status: { phase: "Paused", hold: "inconclusive" },
	},
	{
		fact: "a resume after an inconclusive end starts the duration anew",
		input: {
			status: status({ ...LAST_STEP, startedAtMs: -600_000, durationFromMs: 90_000 }),
			evidence: evidence(EQUAL),
		},
		action: "hold",
		rule: "wait",
		waitsFor: "proof",
		reason: /accuracy of arm boosted/,
	},
	{
		fact: "a takeover waits for its step's time",
		input: {
			status: status({ ...PROMOTING, stepStartedAtMs: 99_000 }),
			evidence: evidence(GOOD, { health: health(100, 0) }),
		},
		action: "hold",
		rule: "takeover",
		waitsFor: "takeover-time",
		reason: /2 s of this step are left/,
	},
	{
		fact: "a takeover advances on healthy endpoints",
		input: { status: status(PROMOTING), evidence: evidence(GOOD, { health: health(100, 1) }) },
		action: "advance-takeover",
		rule: "takeover",
		reason: /from 20% to 50%: variant v2 failed 1 of 100 requests/,
		status: {
			stepStartedAtMs: 100_000,
			promotion: { arm: "boosted", variant: "v2", stepIndex: 1, takeoverPpm: 500_000 },
		},
	},
	{
		fact: "an allocation below all changed steps goes to the first step",
		input: { status: status({ stepIndex: -1, allocationPpm: 20_000 }), evidence: evidence(EQUAL) },
		action: "ramp",
		rule: "ramp",
		reason: /^Ramped from 2% to 20%: 300 matured units .*\(needs 200\)/,
		status: { stepIndex: 0, allocationPpm: 200_000 },
	},
	{
		fact: "an allocation below all changed steps is not promoted, whatever is proved",
		input: { status: status({ stepIndex: -1, allocationPpm: 20_000 }), evidence: evidence(GOOD) },
		action: "ramp",
		rule: "ramp",
		reason: /from 2% to 20%/,
	},
	{
		fact: "a takeover below all changed steps goes to the first step if endpoints are healthy",
		input: {
			status: status({ ...PROMOTING, promotion: { ...PROMOTING.promotion, stepIndex: -1, takeoverPpm: 20_000 } }),
			evidence: evidence(GOOD, { health: health(100, 0) }),
		},
		action: "advance-takeover",
		rule: "takeover",
		reason: /from 2% to 20%/,
		status: { promotion: { arm: "boosted", variant: "v2", stepIndex: 0, takeoverPpm: 200_000 } },
	},
	{
		fact: "a takeover waits while the winner's endpoints fail",
		input: { status: status(PROMOTING), evidence: evidence(GOOD, { health: health(100, 2) }) },
		action: "hold",
		rule: "takeover",
		waitsFor: "takeover-health",
		reason: /failed 2 of 100 requests/,
	},
	{
		fact: "a takeover waits while the winner has too few requests for a verdict",
		input: { status: status(PROMOTING), evidence: evidence(GOOD, { health: health(19, 0) }) },
		action: "hold",
		rule: "takeover",
		waitsFor: "takeover-health",
		reason: /failed 0 of 19 requests, needs 20/,
	},
	{
		fact: "a takeover waits for a failing winner, even if other Variants fail as often",
		input: {
			status: status(PROMOTING),
			evidence: evidence(GOOD, {
				health: [
					{ variant: "v1", requests: 100, failures: 50 },
					{ variant: "v2", requests: 100, failures: 50 },
				],
			}),
		},
		action: "hold",
		rule: "takeover",
		waitsFor: "takeover-health",
		reason: /failed 50 of 100 requests/,
	},
	{
		fact: "a takeover waits while the winner has no requests",
		input: { status: status(PROMOTING), evidence: evidence(GOOD) },
		action: "hold",
		rule: "takeover",
		waitsFor: "takeover-health",
		reason: /no requests yet/,
	},
	{
		fact: "the step that reaches 100 % switches the default variant",
		input: {
			status: status({ ...PROMOTING, promotion: { ...PROMOTING.promotion, stepIndex: 1, takeoverPpm: 500_000 } }),
			evidence: evidence(GOOD, { health: health(100, 0) }),
		},
		action: "complete",
		rule: "takeover",
		reason: /Variant v2 is the Service's default now/,
		status: { phase: "Promoted", promotion: { arm: "boosted", variant: "v2", stepIndex: 2, takeoverPpm: 1_000_000 } },
		defaultVariant: "v2",
	},
	{
		fact: "steps that end below 100 % still end by the switch",
		input: {
			experiment: experiment(["boosted"], { rollout: { ...ROLLOUT, stepsPpm: [200_000] } }),
			status: status(PROMOTING),
			evidence: evidence(GOOD, { health: health(100, 0) }),
		},
		action: "complete",
		rule: "takeover",
		reason: /default now/,
		defaultVariant: "v2",
	},
	{
		fact: "an ended experiment stays ended, whatever the evidence",
		input: {
			status: status({ phase: "RolledBack" }),
			evidence: evidence({ control: { n: 300 }, boosted: { n: 300, errors: 1 } }),
		},
		action: "hold",
		rule: "wait",
		waitsFor: "nothing",
		reason: /has ended: RolledBack/,
	},
];

for (const { fact, input: change, action, rule, waitsFor, reason, status: after, defaultVariant } of CASES)
	t.test(fact, async (t) => {
		const made = input(change);
		const outcome = decide(made);
		t.equal(outcome.action, action, outcome.reason);
		t.equal(outcome.rule, rule);
		t.equal(outcome.waitsFor, waitsFor);
		t.match(outcome.reason, reason);
		t.equal(outcome.defaultVariant, defaultVariant ?? null);
		if (after !== undefined) t.match(outcome.status, after);
		if (action === "hold") t.same(outcome.status, made.status, "a hold changes nothing");
		// Every case, through JSON and back: the same bytes.
		const stored = JSON.parse(
			JSON.stringify({
				experiment: "main",
				sequence: 1,
				atMs: 1,
				by: "weir",
				input: made,
				outcome,
				acknowledgedAtMs: null,
			}),
		);
		const again = recompute(stored);
		t.ok(again?.matches, `${again?.expected}\n${again?.actual}`);
		t.match(recomputationText(stored), { holds: true, text: /^recomputed from its .*: every byte matches$/ });
	});

t.test("a decision whose stored numbers were changed does not recompute", async (t) => {
	const made = input({ evidence: evidence(EQUAL) });
	const decision = {
		experiment: "main",
		sequence: 1,
		atMs: 1,
		by: "weir",
		input: made,
		outcome: { ...decide(made), srmP: 0.5 },
		acknowledgedAtMs: null,
	};
	t.equal(recompute(decision)?.matches, false);
	t.match(recomputationText(decision), { holds: false, text: /^DIFFERS\n +stored .*\n +recomputed / });
	// Its rule is one of a conclusion.
	t.match(recomputationText({ ...decision, input: null }), { holds: false, text: /^NOT RECOMPUTED: / });
});

t.test("a person's command is never reported as recomputed", async (t) => {
	const live = status(LAST_STEP);
	const made = { experiment: experiment(), by: "ann", nowMs: 1 };
	const promoted = commandOutcome({ ...made, status: live }, { verb: "promote", arm: null });
	const gate = { at: "before-promotion", where: "gate.example", why: "HTTP 503" } as const;
	const other = experiment(["boosted"], { goal: null });
	const outcomes: readonly (Outcome | null)[] = [
		promoted,
		commandOutcome({ ...made, status: live }, { verb: "pause" }),
		commandOutcome({ ...made, status: { ...live, phase: "Paused", hold: "person" } }, { verb: "resume" }),
		commandOutcome({ ...made, status: live }, { verb: "abort" }),
		startExperiment(experiment(), 1),
		applyExperiment(experiment(), other, live, 1),
		heldByGate({ status: live }, promoted, gate),
	];
	for (const outcome of outcomes) {
		if (outcome === null) throw new RangeError("nothing was done");
		const decision = {
			experiment: "main",
			sequence: 1,
			atMs: 1,
			by: "ann",
			input: null,
			outcome,
			acknowledgedAtMs: null,
		};
		t.equal(recompute(decision), null);
		t.match(recomputationText(decision), { holds: true, text: /nothing to recompute/ }, outcome.reason);
	}
});

t.test("a mean is unknown without variance or units; a clear loss is harm, a relative gain promotes", async (t) => {
	const goal = { metric: "revenue", improveBy: { kind: "relative", value: 0.02 } } as const;
	const means = experiment(["boosted"], { goal, guardrails: [] });
	const at = (n: number, control: number, boosted: number, variance: number) => {
		const made = evidence({ control: { n }, boosted: { n } });
		const arms = made.arms.map((arm) => ({
			...arm,
			metrics: { revenue: { n, mean: arm.arm === "control" ? control : boosted, m2: n * variance } },
		}));
		return decide(input({ experiment: means, status: status({ ...LAST_STEP }), evidence: { ...made, arms } }));
	};
	t.match(at(5_000, 10, 11, 0).reason, /unknown: zero variance/);
	t.match(at(400, 10, 11, 1).reason, /unknown: a mean needs 2000 units per arm, there are 400/);
	t.equal(at(5_000, 10, 11, 1).action, "promote");
	t.equal(at(5_000, 10, 10.1, 1).action, "hold", "1 % is not 2 %");
	t.equal(at(5_000, 10, 9, 1).action, "roll-back");
	t.match(at(5_000, 0.001, 1, 1).reason, /not clearly different from 0/);
});

t.test(
	"relative margins of rates include the baseline's noise, so they are proved later than by plug-in",
	async (t) => {
		const guardrails = [{ metric: "error-rate", margin: { kind: "relative", value: 0.5 } }] as const;
		const relative = experiment(["boosted"], { goal: null, guardrails });
		const at = (n: number, control: number, boosted: number) =>
			decide(
				input({
					experiment: relative,
					evidence: evidence({ control: { n, errors: control }, boosted: { n, errors: boosted } }),
				}),
			).findings[0];
		t.equal(at(5_000, 0.1, 0.1)?.verdict, "pass");
		t.equal(at(300, 0.1, 0.1)?.verdict, "open");
		t.equal(at(5_000, 0.1, 0.2)?.verdict, "harm");
		t.equal(at(5_000, 0.1, 0.15)?.verdict, "open");
		t.equal(at(2_000, 0, 0)?.improvement, null, "no ratio to a baseline of zero");
	},
);

t.test("a slow challenger is harm, an equally slow system is not", async (t) => {
	const at = (control: number, boosted: number) =>
		decide(
			input({ evidence: evidence({ control: { n: 2_000, slow: control }, boosted: { n: 2_000, slow: boosted } }) }),
		).findings[0]?.verdict;
	t.equal(at(0.5, 0.5), "unknown", "thresholds that were frozen before give no verdict");
	t.equal(at(0.02, 0.02), "open");
	t.equal(at(0.01, 0.5), "harm");
	t.equal(at(0.01, 0.01), "open", "exactly at the margin");
	t.equal(at(0.01, 0.001), "pass");
});

t.test("a goal on a quantile needs fewer slow requests above its own, lower threshold", async (t) => {
	const goal = { metric: "latency-p99", improveBy: { kind: "relative", value: 0.3 } } as const;
	const faster = experiment(["boosted"], { goal, guardrails: [] });
	const at = (control: number, boosted: number) =>
		decide(
			input({
				experiment: faster,
				evidence: evidence({ control: { n: 8_000, slow: control }, boosted: { n: 8_000, slow: boosted } }),
			}),
		).findings[0]?.verdict;
	t.equal(at(0.01, 0.001), "pass");
	t.equal(at(0.01, 0.01), "open", "faster by exactly the required amount");
	t.equal(at(0.01, 0.03), "open", "a challenger that equals the baseline is no harm");
});

t.test("harm's alpha is split over challengers and claims, a promotion's over challengers", async (t) => {
	const finding = (challengers: readonly string[]) =>
		decide(input({ experiment: experiment(challengers), evidence: evidence(EQUAL) })).findings[1];
	t.match(finding(["boosted"]), { alpha: 0.05, harmAlpha: 0.05 / 3 });
	t.match(finding(["boosted", "other"]), { alpha: 0.05 / 2, harmAlpha: 0.05 / 6 });
});

t.test("an expected time is shown for the next step, and never for a proof", async (t) => {
	const units = decide(input({ evidence: evidence({ control: { n: 130 }, boosted: { n: 100, exposed: 120 } }) }));
	t.match(units, { waitsFor: "units", expectedMs: 50_000 });
	const near = evidence({ control: { n: 1_200, accuracy: 0.78 }, boosted: { n: 1_200, accuracy: 0.83 } });
	t.match(decide(input({ status: status(LAST_STEP), evidence: near })), { waitsFor: "proof", expectedMs: null });
});

t.test("no decision waits for units of an arm without weight", async (t) => {
	const own = experiment(["boosted", "later"]);
	const arms = own.spec.arms.map((arm) => (arm.name === "later" ? { ...arm, weight: 0 } : arm));
	const at = (weighted: boolean) =>
		decide(
			input({
				experiment: weighted ? own : { ...own, spec: { ...own.spec, arms } },
				evidence: evidence({ control: { n: 1_000 }, boosted: { n: 1_000 } }),
			}),
		);
	t.equal(at(false).action, "ramp");
	t.match(at(true), { action: "hold", waitsFor: "units", reason: /arm later has 0 of 200 matured units/ });
});

t.test("a rate with a mean outside [0, 1] is unknown", async (t) => {
	const made = evidence({ control: { n: 300 }, boosted: { n: 300 } });
	const arms = made.arms.map((arm) => ({
		...arm,
		metrics: { ...arm.metrics, accuracy: { ...rate(300, 0.5), mean: 1.5 } },
	}));
	const outcome = decide(input({ evidence: { ...made, arms } }));
	t.equal(outcome.findings.find((finding) => finding.role === "goal")?.verdict, "unknown");
});
