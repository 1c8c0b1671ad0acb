/** Broken data stop ramps and promotions with a reason, but never rollbacks or the end. */
import t from "tap";
import { decide } from "../../../src/decide/rollout/decide.js";
import type { DecisionInput } from "../../../src/decide/rollout/decision.js";
import { recompute } from "../../../src/decide/rollout/recompute.js";
import type { Evidence, MetricEvidence } from "../../../src/infer/statistics/evidence.js";
import { gridQuantiles } from "../../../src/infer/statistics/quantileGrid.js";
import { logCapitalOf } from "../../../src/infer/statistics/statistics/logCapital.js";
import { evidence, experiment, input, LAST_STEP, METRICS, metric, ROLLOUT, rate, status } from "./example.js";

const EQUAL = { control: { n: 1_000 }, boosted: { n: 1_000 } };
const GOOD = { control: { n: 6_000, accuracy: 0.78 }, boosted: { n: 6_000, accuracy: 0.83 } };

const withMissing = (control: number, boosted: number): Evidence => {
	const made = evidence(EQUAL);
	const missing: Record<string, number> = { control, boosted };
	return { ...made, arms: made.arms.map((arm) => ({ ...arm, missingUnits: { accuracy: missing[arm.arm] ?? 0 } })) };
};

/** 2,000 exposures in the 60 s up to the newest, so 33 a second; outcomes until `lastMs`. */
const silentSince = (lastMs: number, newestExposureMs: number | undefined): Evidence =>
	evidence(EQUAL, {
		newestOutcomeMs: { accuracy: lastMs },
		...(newestExposureMs === undefined ? {} : { newestExposureMs }),
	});

const changed = (change: (arm: Evidence["arms"][number]) => Partial<Evidence["arms"][number]>): Evidence => {
	const made = evidence(EQUAL);
	return { ...made, arms: made.arms.map((arm) => ({ ...arm, ...change(arm) })) };
};

const CASES: readonly { readonly fact: string; readonly evidence: Evidence; readonly reason: RegExp | null }[] = [
	{ fact: "few lost entries", evidence: evidence(EQUAL, { droppedEntries: 20 }), reason: null },
	{
		fact: "many lost entries",
		evidence: evidence(EQUAL, { droppedEntries: 21 }),
		reason: /21 access-log entries were dropped, more than 1% of 2000 units/,
	},
	...[Number.NaN, -5, Number.POSITIVE_INFINITY, 0.5].flatMap((count) =>
		(["droppedEntries", "conflictingUnits", "forcedUnits"] as const).map((name) => ({
			fact: `${name} ${count}`,
			evidence: evidence(EQUAL, { [name]: count }),
			reason: /a count is no whole number from 0 on/,
		})),
	),
	{ fact: "missing outcomes that are no count", evidence: withMissing(Number.NaN, 0), reason: /no whole number/ },
	{
		fact: "exposures that are no count",
		evidence: evidence(EQUAL, {
			exposures: [
				{
					planVersion: "p1",
					firstMs: 40_000,
					counts: { control: Number.NaN, boosted: 1_000 },
					livePoints: { control: 100_000, boosted: 100_000 },
				},
			],
		}),
		reason: /no whole number/,
	},
	{
		fact: "exposures where no point is live",
		evidence: evidence(EQUAL, {
			exposures: [
				{
					planVersion: "p1",
					firstMs: 40_000,
					counts: { control: 1_000, boosted: 1_000 },
					livePoints: { control: 100_000, boosted: 0 },
				},
			],
		}),
		reason: /1000 units were exposed in arm boosted under plan p1, which has no live point/,
	},
	{
		fact: "units under no plan",
		evidence: evidence(EQUAL, { exposures: [] }),
		reason: /2000 units are exposed, and under no plan/,
	},
	{
		fact: "more matured than exposed",
		evidence: changed(() => ({ maturedUnits: 1_001, exposedUnits: 1_000 })),
		reason: /1000 exposed and 1001 matured units/,
	},
	{
		fact: "evidence of the future",
		evidence: evidence(EQUAL, { asOfMs: 100_000_000 }),
		reason: /the evidence lies .* in the future/,
	},
	{ fact: "few units in two arms", evidence: evidence(EQUAL, { conflictingUnits: 20 }), reason: null },
	{
		fact: "many units in two arms",
		evidence: evidence(EQUAL, { conflictingUnits: 21 }),
		reason: /21 units were seen in two arms, more than 1% of 2021/,
	},
	{ fact: "few forced units", evidence: evidence(EQUAL, { forcedUnits: 100 }), reason: null },
	{
		fact: "many forced units",
		evidence: evidence(EQUAL, { forcedUnits: 110 }),
		reason: /110 units had a forced arm, more than 5% of 2110/,
	},
	{ fact: "outcomes missing alike", evidence: withMissing(300, 320), reason: null },
	{
		fact: "outcomes missing unequally",
		evidence: withMissing(100, 320),
		reason: /outcomes of accuracy are missing unequally: of 24.24% of arm boosted's units, of 9.091% of the baseline's/,
	},
	{ fact: "a sender within its window", evidence: silentSince(98_000, 99_500), reason: null },
	{
		fact: "a sender fallen silent",
		evidence: silentSince(95_000, 99_500),
		reason: /no outcome of accuracy has come for 5 s, about 118 were to be expected/,
	},
	{ fact: "a silence of 18 outcomes", evidence: silentSince(97_950, 99_500), reason: null },
	{
		fact: "a silence of 24 outcomes",
		evidence: silentSince(97_800, 99_500),
		reason: /no outcome of accuracy has come for 2.2 s, about 24 were to be expected/,
	},
	{ fact: "silence without exposures", evidence: silentSince(60_000, 60_500), reason: null },
	{ fact: "silence where exposures are not known", evidence: silentSince(60_000, undefined), reason: null },
	{
		fact: "a clock that went back",
		evidence: evidence(EQUAL, { asOfMs: 80_000 }),
		reason: /a clock went back: evidence as of 80000 and now 100000 lie 15 s before the last step at 95000/,
	},
	{ fact: "clocks of two machines", evidence: evidence(EQUAL, { asOfMs: 90_000 }), reason: null },
	{
		fact: "a mean that is no number",
		evidence: changed(({ metrics }) => ({ metrics: { ...metrics, accuracy: { n: 1_000, mean: Number.NaN, m2: 1 } } })),
		reason: /accuracy of arm control: the mean is NaN/,
	},
	{
		fact: "an infinite spread",
		evidence: changed(({ metrics }) => ({ metrics: { ...metrics, accuracy: { n: 1_000, mean: 0.5, m2: Infinity } } })),
		reason: /accuracy of arm boosted: the sum of squared deviations is Infinity/,
	},
	{
		fact: "a negative count",
		evidence: changed(({ metrics }) => ({ metrics: { ...metrics, accuracy: { n: -5, mean: 0.5, m2: 1 } } })),
		reason: /the count of units is negative: -5/,
	},
	{
		fact: "units that are no count",
		evidence: changed(() => ({ maturedUnits: -1 })),
		reason: /arm control has 1000 exposed and -1 matured units/,
	},
	{
		fact: "an arm twice",
		evidence: evidence(EQUAL, { arms: [...evidence(EQUAL).arms, ...evidence({ boosted: { n: 5 } }).arms] }),
		reason: /arm boosted is there twice/,
	},
	{
		fact: "a metric that the store cannot read",
		evidence: evidence(EQUAL, { unreadable: ["accuracy"] }),
		reason: /accuracy cannot be read from the event store/,
	},
	{
		fact: "an arm that is not declared",
		evidence: evidence({ ...EQUAL, ghost: { n: 1_000 } }, { exposures: [] }),
		reason: /there is no arm ghost/,
	},
];

for (const { fact, evidence: given, reason } of CASES)
	t.test(fact, async (t) => {
		const made = input({ evidence: given });
		const outcome = decide(made);
		if (reason === null) {
			t.match(outcome, { action: "ramp" }, outcome.reason);
			return;
		}
		t.match(outcome, { action: "hold", rule: "data", waitsFor: "data", reason }, outcome.reason);
		t.match(outcome.summary, /^Waiting at 20%, because what is measured cannot be trusted: /);
		const why = (outcome.summary ?? "").replace(/^.*?trusted: |\.$/g, "");
		const longAgo = { ...made, status: { ...made.status, startedAtMs: -600_000 } };
		const ended = decide(longAgo);
		t.match(ended, { action: "roll-back", rule: "max-duration", reason }, ended.reason);
		t.match(ended.reason, /^Back to the default: no verdict after 11\.7 min of at most 10 min, the data are broken: /);
		t.equal(
			ended.summary,
			`no clear result after 11.7 min, because what is measured cannot be trusted (${why}): v1 stays.`,
		);
		for (const { lower, upper, improvement } of outcome.findings)
			t.notOk([lower, upper, improvement].some(Number.isNaN), "no finding holds what is no number");
		const stored = {
			experiment: "main",
			sequence: 1,
			atMs: 1,
			by: "weir",
			input: made,
			outcome,
			acknowledgedAtMs: null,
		};
		t.ok(recompute(stored)?.matches);
	});

/** The decision for a score in [0,1] with values 0.2 and 0.8, and a change of its moments. */
const SCORES = { ...METRICS, score: metric("score", { type: "mean", range: { lo: 0, hi: 1 } }) };
const scored = (change: Partial<MetricEvidence>) => {
	const n = 6_000;
	const of = (high: number): MetricEvidence => ({
		...{ n, mean: 0.2 + 0.6 * high, m2: n * 0.36 * high * (1 - high), extremes: [{ lo: 0.2, hi: 0.8 }] },
		capital: logCapitalOf(Array.from({ length: n }, (_, i) => (i < n * high ? 0.8 : 0.2))),
	});
	const made = evidence(GOOD);
	return decide(
		input({
			experiment: experiment(["boosted"], {
				goal: { metric: "score", improveBy: { kind: "absolute", value: 0.005 } },
				guardrails: [],
			}),
			metrics: SCORES,
			status: status(LAST_STEP),
			evidence: {
				...made,
				arms: made.arms.map((arm) => ({
					...arm,
					metrics: { score: arm.arm === "control" ? of(0.5) : { ...of(0.75), ...change } },
				})),
			},
		}),
	);
};

t.test("extremes outside of the range or inconsistent with the mean are invalid", async (t) => {
	t.equal(scored({}).action, "promote", scored({}).reason);
	for (const [lo, hi, reason] of [
		[0.2, 7, /score of arm boosted: the least value is 0.2 and the greatest 7, outside of its range \[0, 1\]/],
		[-1, 0.8, /outside of its range/],
		[0.7, 0.8, /the mean 0.6\d* is not between them/],
		[0.2, 0.5, /is not between them/],
		[null, 0.8, /the least value is null and the greatest 0.8, where values are/],
		[0.2, Number.NaN, /where values are/],
	] as const)
		t.match(scored({ extremes: [{ lo: lo as number, hi }] }), { action: "hold", rule: "data", reason }, `${lo} ${hi}`);
	const summaryOf = (lo: number, hi: number) => scored({ extremes: [{ lo, hi }] }).summary;
	t.match(summaryOf(0.2, 7), /score of boosted has values outside of its range \[0, 1\]\./);
	t.match(summaryOf(0.2, 0.5), /score of boosted has a mean that its least and greatest value cannot have\./);
});

t.test("a mean may exceed the range by a rounding error, and by no more", async (t) => {
	for (const [lo, hi] of [
		[0.2, 1.0000000000000002],
		[-1e-17, 0.8],
		[-9e-10, 1 + 9e-10],
	] as const) {
		t.equal(scored({ extremes: [{ lo, hi }] }).action, "promote", `${lo} ${hi}`);
	}
	for (const [lo, hi] of [
		[0.2, 1 + 1.1e-9],
		[-1.1e-9, 0.8],
	] as const)
		t.match(scored({ extremes: [{ lo, hi }] }), { rule: "data", reason: /outside of its range/ }, `${lo} ${hi}`);
});

t.test("a log-capital that the mean cannot reach proves nothing", async (t) => {
	const whole = logCapitalOf(Array.from({ length: 6_000 }, (_, i) => (i < 4_500 ? 0.8 : 0.2)));
	// A large bet allows a wide range of sums, a small one almost none.
	for (const index of [0, 8, 16])
		for (const of of ["up", "down"] as const)
			for (const sum of [0, 7, (whole[of][index] ?? 0) * (index === 0 ? 0.99 : 0.1)]) {
				const capital = { ...whole, [of]: whole[of].with(index, sum) };
				t.match(
					scored({ capital }),
					{
						action: "hold",
						findings: [{ verdict: "unknown", note: /which no values of mean 0.65 have|a value is missing/ }],
					},
					`${of} ${index}: ${sum}`,
				);
			}
	t.equal(scored({ capital: whole }).action, "promote");
});

t.test("a share that is not a number does not drop a threshold", async (t) => {
	const made = evidence(GOOD);
	const slow = (mean: number | null) => ({
		...made,
		arms: made.arms.map((arm) =>
			arm.arm === "control"
				? { ...arm, metrics: { ...arm.metrics, "latency-p99": { ...rate(6_000, mean ?? 0.01), mean: mean as number } } }
				: arm,
		),
	});
	const at = (mean: number | null) => decide(input({ status: status(LAST_STEP), evidence: slow(mean) }));
	t.equal(at(0).rule, "baseline-moved", "no unit is as slow as before");
	t.match(at(null), { rule: "data", reason: /latency-p99 of arm control: the mean is null/ });
});

t.test("shares above a grid's thresholds must lie in [0, 1], fall, and match the metric's own", async (t) => {
	const above = gridQuantiles(0.99).map((q) => 1 - q);
	const n = 6_000;
	const made = evidence({ control: { n, accuracy: 0.7 }, boosted: { n, accuracy: 0.8, slow: 0.001 } });
	const gridMs = above.map((_, index) => 15 + index / 2);
	const frozen = { thresholdMs: 40, referenceMs: 20, era: 1, gridMs, frozenAtMs: 0, sampleSize: 5_000 };
	const own = experiment(["boosted"], {
		guardrails: [{ metric: "latency-p99", margin: { kind: "relative", value: 1 } }],
	});
	const at = (boosted: readonly (number | null)[], control: readonly number[]) => {
		const shares: Readonly<Record<string, readonly unknown[]>> = { control, boosted };
		const arms = made.arms.map((arm) => {
			const p99 = { ...rate(n, arm.arm === "control" ? 0.01 : 0.001), slow: shares[arm.arm] as number[] };
			return { ...arm, metrics: { ...arm.metrics, "latency-p99": p99 } };
		});
		const thresholds = { "latency-p99": frozen };
		const given = { status: status({ ...LAST_STEP, thresholds }), evidence: { ...made, arms } };
		return decide(input({ experiment: own, ...given }));
	};
	const few = above.map((p) => p / 10);
	t.equal(at(few, above).action, "promote");
	t.equal(at(few.with(3, (few[2] ?? 0) + 1e-12), above).action, "promote", "equal up to rounding");
	for (const [boosted, control, reason] of [
		[
			few.with(19, null as unknown as number),
			above,
			/latency-p99 of arm boosted: no number of a person's requests are above threshold 20/,
		],
		[few, above.with(0, 99), /of arm control: on average 99 of a person's requests are above threshold 1 of 20/],
		[few.with(19, -0.1), above, /on average -0.1 of a person's requests/],
		[
			few.with(5, 0.02),
			above,
			/0.02 of a person's requests are above threshold 6 of 20, and 0.00\d+ above the lower one/,
		],
		[few.map((p) => p / 2), above, /above the frozen threshold by its grid, 0.001 by the metric/],
	] as const) {
		const outcome = at(boosted, control);
		t.match(outcome, { action: "hold", rule: "data", reason }, outcome.reason);
		t.match(outcome.summary, /latency-p99 of \w+ has shares of slow requests that no requests have/);
	}
});

const LOST = { droppedEntries: 1_000 };

t.test("broken data hold a promotion, but not harm, a pause or the end", async (t) => {
	const at = (change: Partial<DecisionInput>) => decide(input(change));
	t.equal(at({ status: status(LAST_STEP), evidence: evidence(GOOD) }).action, "promote");
	t.match(at({ status: status(LAST_STEP), evidence: evidence(GOOD, LOST) }), { action: "hold", rule: "data" });
	const harm = evidence({ control: { n: 100 }, boosted: { n: 100, errors: 0.5 } }, LOST);
	t.match(at({ evidence: harm }), { action: "roll-back", rule: "harm" });
	t.match(at({ status: status({ phase: "Paused", hold: "person" }), evidence: evidence(EQUAL, LOST) }), {
		rule: "person",
	});
	const ended = status({ ...LAST_STEP, startedAtMs: -600_000 });
	t.match(at({ status: ended, evidence: evidence(GOOD, LOST) }), { action: "roll-back", rule: "max-duration" });
});

t.test("an empty arm or a metric without data is unknown, never a pass", async (t) => {
	const empty = decide(
		input({
			status: status(LAST_STEP),
			evidence: evidence({ control: GOOD.control, boosted: { n: 0, exposed: 6_000 } }),
		}),
	);
	t.match(empty, { action: "hold", waitsFor: "units" });
	t.ok(empty.findings.every(({ verdict, logE }) => verdict === "unknown" && logE === null));
	const made = evidence(GOOD);
	const arms = made.arms.map((arm) => ({ ...arm, metrics: { accuracy: rate(6_000, 0.8) } }));
	const without = decide(input({ status: status(LAST_STEP), evidence: { ...made, arms } }));
	t.match(without.findings[0], { verdict: "unknown", note: "no data in the baseline" });
	t.not(without.action, "promote");
});

/** 2,430 units in each arm, of which this many have an outcome. */
const outcomesOf = (control: number, boosted: number) => {
	const made = evidence({ control: { n: 2_430 }, boosted: { n: 2_430 } });
	const arms = made.arms.map((arm) => {
		const n = arm.arm === "control" ? control : boosted;
		const { accuracy: _, ...others } = arm.metrics;
		const metrics = n === 0 ? others : { ...others, accuracy: rate(n, 0.8) };
		return { ...arm, metrics, missingUnits: { accuracy: 2_430 - n } };
	});
	return { ...made, arms };
};

t.test("missing outcomes are not reported as missing units, and have no time estimate", async (t) => {
	const none = { evidence: outcomesOf(0, 0) };
	const ended = { status: status({ startedAtMs: -600_000 }) };
	t.match(decide(input(none)), {
		...{
			action: "hold",
			rule: "wait",
			waitsFor: "units",
			lacks: "any value of accuracy in arm control",
			expectedMs: null,
		},
		reason: "Holding at 20%: no outcome of accuracy came for arm control, of 2430 matured units.",
		summary: "Waiting at 20%: no outcome of accuracy came for arm control, of 2,430 people.",
	});
	const begun = none.evidence.arms.map((arm) =>
		arm.arm === "control" ? arm : { ...arm, maturedUnits: 20, missingUnits: { accuracy: 20 } },
	);
	t.match(
		decide(input({ evidence: { ...none.evidence, arms: begun } })),
		{ lacks: "any value of accuracy in arm control", expectedMs: null },
		"also if the other arm has few units",
	);
	t.match(decide(input({ ...none, ...ended })), {
		...{ action: "roll-back", rule: "max-duration" },
		reason: /no verdict after 11.7 min .*no outcome of accuracy came for arm control, of 2430/,
		summary: /no clear result after 11.7 min, .*control, of 2,430 people: v1 stays\.$/,
	});
	t.match(decide(input({ evidence: outcomesOf(3, 0) })), {
		lacks: "any value of accuracy in arm boosted",
		expectedMs: null,
	});

	const some = { evidence: outcomesOf(60, 81) };
	t.match(decide(input(some)), {
		...{ action: "hold", waitsFor: "units", lacks: "units with accuracy" },
		reason: "Holding at 20%: 60 of 2430 matured units of arm control have a value of accuracy, 200 are needed.",
		summary: /^Waiting at 20%: 60 of 2,430 people of arm control .* 200 are needed/,
		// 60 values arrived in 60 s, and 140 more are needed.
		expectedMs: 140_000,
	});
	t.match(decide(input({ ...some, ...ended })), {
		reason: /at most 10 min; 60 of 2430 matured units of arm control have a value of accuracy, 200 are needed\.$/,
		summary: /, because only 60 of 2,430 people of arm control have a value of accuracy, 200 are needed/,
	});
});

t.test("a wait names missing units before missing values; few units follow a frozen threshold at first", (t) => {
	const few = evidence({ control: { n: 150 }, boosted: { n: 150 } });
	const arms = few.arms.map((arm) => ({ ...arm, metrics: {}, missingUnits: { accuracy: 150 } }));
	t.match(decide(input({ evidence: { ...few, arms } })), {
		...{ lacks: "matured units", expectedMs: null },
		summary: /too few people for a result yet \(arm control has 150 of 200\)/,
	});
	const frozen = evidence({ control: { n: 300 }, boosted: { n: 300 } });
	const since = frozen.arms.map((arm) => ({ ...arm, metrics: { ...arm.metrics, "latency-p99": rate(150, 0) } }));
	t.match(decide(input({ evidence: { ...frozen, arms: since } })), {
		...{ lacks: "matured units of latency-p99", expectedMs: 10_000 },
		reason: /arm control has 150 of 200 matured units of latency-p99/,
		summary: /too few people measured by p99 latency for a result yet \(arm control has 150 of 200\)/,
	});
	const both = since.map((arm) => ({
		...arm,
		metrics: { "latency-p99": rate(150, 0), "error-rate": rate(300, 0) },
		missingUnits: { accuracy: 300 },
	}));
	t.match(decide(input({ evidence: { ...frozen, arms: both } })), { lacks: "any value of accuracy in arm control" });
	t.end();
});

t.test("too few units are neither success nor failure, and the missing number is reported", async (t) => {
	const few = { control: { n: 150 }, boosted: { n: 150 } };
	const waiting = decide(input({ evidence: evidence(few) }));
	t.match(waiting, {
		action: "hold",
		waitsFor: "units",
		summary: /too few people for a result yet \(arm control has 150 of 200\)/,
	});
	const ended = status({ startedAtMs: -600_000 });
	t.match(decide(input({ status: ended, evidence: evidence(few) })), {
		action: "roll-back",
		rule: "max-duration",
		reason:
			/no verdict after 11.7 min of at most 10 min; arm control has 150 of 200 matured units, too few for a result/,
		summary: "no clear result after 11.7 min, because too few people came (arm control has 150 of 200): v1 stays.",
	});
	const pausing = experiment(["boosted"], { rollout: { ...ROLLOUT, onInconclusive: "pause" } });
	t.match(decide(input({ experiment: pausing, status: ended, evidence: evidence(few) })), {
		action: "pause",
		status: { hold: "inconclusive" },
	});
});
