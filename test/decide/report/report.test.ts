/** The numbers of the report agree with independent computations. */
import t from "tap";
import { plain, pValue, shortTime, size, utc } from "../../../src/decide/report/format.js";
import { reportPage } from "../../../src/decide/report/page/page.js";
import { reportOf } from "../../../src/decide/report/report.js";
import type { ReportInput } from "../../../src/decide/report/reportInput.js";
import { decide } from "../../../src/decide/rollout/decide.js";
import type { Decision, Outcome } from "../../../src/decide/rollout/decision.js";
import { heldByGate } from "../../../src/decide/rollout/gate.js";
import type { InferenceDesign } from "../../../src/declare/resources/resource.js";
import { analyse } from "../../../src/infer/statistics/analyse.js";
import { normalSf } from "../../../src/infer/statistics/distributions/normal.js";
import type { ArmEvidence, Evidence, MetricEvidence } from "../../../src/infer/statistics/evidence.js";
import { mergeMoments, NO_MOMENTS } from "../../../src/infer/statistics/statistics/moments.js";
import { experiment, METRICS, rate } from "../rollout/example.js";
import { DAY_MS, DECLARED, HARMFUL, MEASURING, reportInput, START_MS, WINNING } from "./example.js";

t.test("an earlier interval is the analysis of the units until then", (t) => {
	const input = reportInput(MEASURING);
	const { history, claims } = reportOf(input);
	const evidence = input.evidence as Evidence;
	t.same(
		history.map(({ metric, from, points }) => [metric, from, points.length]),
		[
			["latency-p99", "periods", 9],
			["error-rate", "periods", 9],
			["accuracy", "periods", 9],
		],
	);
	for (const until of [1, 4, 9]) {
		const arms = evidence.arms.map((arm): ArmEvidence => {
			const merged: Record<string, MetricEvidence> = {};
			for (const period of evidence.periods.slice(0, until))
				for (const [name, own] of Object.entries(period.arms.find((part) => part.arm === arm.arm)?.metrics ?? {}))
					merged[name] = mergeMoments(merged[name] ?? NO_MOMENTS, own);
			return { ...arm, metrics: merged };
		});
		const { findings } = analyse({
			...{ experiment: input.experiment, metrics: input.metrics, thresholds: input.status.thresholds, levels: null },
			...{ closedArms: [], accepted: {}, evidence: { ...evidence, arms, segments: [] } },
		});
		for (const one of history) {
			const finding = findings.find(({ metric }) => metric === one.metric);
			const point = one.points[until - 1];
			t.match(point, {
				atMs: START_MS + until * DAY_MS,
				units: (finding?.baseline.n ?? 0) + (finding?.challenger.n ?? 0),
			});
			t.ok(Math.abs((point?.lower ?? 0) - (finding?.lower ?? 1)) < 1e-9, `${one.metric} after ${until} days`);
			t.ok(Math.abs((point?.upper ?? 0) - (finding?.upper ?? 1)) < 1e-9);
		}
	}
	t.same(
		claims.map(({ metric }) => metric),
		["latency-p99", "error-rate", "accuracy"],
	);
	t.end();
});

t.test("without periods the course comes from the decisions", (t) => {
	const input = reportInput(MEASURING);
	const evidence = { ...(input.evidence as Evidence), periods: [] };
	const { history, effects } = reportOf({ ...input, evidence });
	t.ok(history.every(({ from }) => from === "decisions"));
	const own = input.decisions.filter((decision) => decision.input !== null);
	for (const { points, metric } of history) {
		t.equal(points.length, own.filter(({ input }) => input?.evidence.asOfMs !== evidence.asOfMs).length + 1);
		const stored = own[0]?.outcome.findings.find((finding) => finding.metric === metric);
		t.match(points[0], { lower: stored?.lower, upper: stored?.upper });
	}
	t.same(
		effects.map(({ periods }) => periods),
		[[]],
	);
	t.end();
});

t.test("the report's allocation follows the decisions, also through a takeover", (t) => {
	const { allocation } = reportOf(reportInput(WINNING));
	t.same(
		allocation.map(({ allocationPpm, takeoverPpm, phase }) => [phase, allocationPpm / 10_000, takeoverPpm / 10_000]),
		[
			["Running", 20, 0],
			["Running", 50, 0],
			["Running", 100, 0],
			["Promoting", 100, 20],
			["Promoting", 100, 50],
			["Promoted", 0, 100],
		],
	);
	t.end();
});

t.test("expected units follow each plan's live points", (t) => {
	const input = reportInput(MEASURING);
	const exposures = [
		{ planVersion: "a", firstMs: 1, counts: { control: 90, boosted: 110 }, livePoints: { control: 100, boosted: 100 } },
		{ planVersion: "b", firstMs: 2, counts: { control: 310, boosted: 90 }, livePoints: { control: 300, boosted: 100 } },
		{ planVersion: "c", firstMs: 3, counts: { control: 50 }, livePoints: { control: 100 } },
	];
	const { sampleRatio } = reportOf({ ...input, evidence: { ...(input.evidence as Evidence), exposures } });
	t.same(sampleRatio?.arms, [
		{ arm: "control", units: 400, expected: 400 },
		{ arm: "boosted", units: 200, expected: 200 },
	]);
	t.equal(sampleRatio?.test?.p, sampleRatio?.history.at(-1)?.p);
	t.end();
});

t.test("harm in one country's segment is found, the other segments are only reported", (t) => {
	const story = { ...MEASURING, days: 12, peoplePerDay: 6_000, inCountry: { FR: -0.3 } };
	const { segments } = reportOf(
		reportInput(story, {
			...DECLARED,
			spec: { ...DECLARED.spec, rollout: { ...DECLARED.spec.rollout, onHarm: "freeze" } },
		}),
	);
	const goal = segments.find(({ role }) => role === "goal");
	t.same(
		goal?.values.map(({ value, harm }) => [value, harm]),
		[
			["DE", false],
			["FR", true],
			["NL", false],
			[null, false],
		],
	);
	t.end();
});

t.test("chances to win sum to 1, and the better arm has the larger chance and the smaller loss", (t) => {
	const { beliefs } = reportOf(reportInput(WINNING));
	const [control, boosted] = beliefs?.arms ?? [];
	t.ok(Math.abs((control?.chanceToWin ?? 0) + (boosted?.chanceToWin ?? 0) - 1) < 1e-12);
	t.ok((boosted?.chanceToWin ?? 0) > 0.99 && (boosted?.expectedLoss ?? 1) < (control?.expectedLoss ?? 0));
	const means = experiment(["boosted"], {
		goal: { metric: "revenue", improveBy: { kind: "absolute", value: 0 } },
		guardrails: [],
	});
	const evidence = reportInput(MEASURING).evidence as Evidence;
	const arms = evidence.arms.map((arm, index) => ({ ...arm, metrics: { revenue: { n: 4, mean: index, m2: 12 } } }));
	const report = reportOf({
		...reportInput(MEASURING),
		experiment: means,
		metrics: { revenue: METRICS.revenue as never },
		evidence: { ...evidence, arms },
	});
	// Difference 1, standard error sqrt(1 + 1): Φ(1/√2).
	t.ok(Math.abs((report.beliefs?.arms[1]?.chanceToWin ?? 0) - 0.7602499389065233) < 1e-9);
	const later = { ...(means.spec.arms[1] as (typeof means.spec.arms)[number]), name: "later", weight: 0 };
	const beside = reportOf({
		...reportInput(MEASURING),
		experiment: { ...means, spec: { ...means.spec, arms: [...means.spec.arms, later] } },
		metrics: { revenue: METRICS.revenue as never },
		evidence: { ...evidence, arms },
	});
	t.same(beside.beliefs, report.beliefs, "an arm without weight takes nothing away from the others");
	t.end();
});

t.test("numbers have one format everywhere", (t) => {
	t.same(
		[
			size("points", 0.01234),
			size("percent", -0.5),
			size("ms", 12.3456),
			size("plain", 12345.678),
			size("points", null),
		],
		["+1.23\u00A0pp", "−50\u00A0%", "+12.3\u00A0ms", "+12,346", "unknown"],
	);
	t.same(
		[size("plain", Number.POSITIVE_INFINITY), plain(1e-9), plain(0), plain(-1234.6)],
		["any more", "1e-9", "0", "−1,235"],
	);
	t.same([pValue(1), pValue(0.01234), pValue(1e-9)], ["1", "0.012", "1.0e-9"]);
	t.same(
		[utc(0), utc(Number.NaN), shortTime(0, 1_000), shortTime(0, 1e9)],
		["1970-01-01 00:00:00 UTC", "an unknown time", "00:00:00", "01-01"],
	);
	t.end();
});

t.test("each arm has its own level, and a latency quantile also has a threshold", (t) => {
	const input = reportInput({ ...MEASURING, slow: { control: 0.02, boosted: 0.0005 } });
	const { levels } = reportOf(input);
	t.same(
		levels.map(({ metric, arm, quantile }) => [metric, arm, quantile]),
		[
			["latency-p99", "control", { q: 0.99, thresholdMs: 20, side: "above" }],
			["latency-p99", "boosted", { q: 0.99, thresholdMs: 40, side: "below" }],
			["error-rate", "control", null],
			["error-rate", "boosted", null],
			["accuracy", "control", null],
			["accuracy", "boosted", null],
		],
	);
	for (const { lower, upper, level, units } of levels)
		t.ok((lower ?? 1) < (level ?? 0) && (level ?? 1) < (upper ?? 0) && units > 1_000);
	t.same(reportOf({ ...input, evidence: null, decisions: [] }).levels, []);
	t.end();
});

t.test("the chance to beat the baseline has a flat and a sceptical prior, on the goal's own scale", (t) => {
	const input = reportInput(MEASURING);
	const evidence = input.evidence as Evidence;
	const arms = evidence.arms.map((arm, index) => ({
		...arm,
		metrics: { ...arm.metrics, accuracy: rate(1_000, index === 0 ? 0.78 : 0.8) },
	}));
	// scipy: norm.cdf of the difference (lift) over its standard error, and of the precision-weighted mean with the prior.
	for (const [kind, value, flat, sceptic] of [
		["absolute", 0.005, 0.8638442872767914, 0.6142924997929814],
		["relative", 0.05, 0.8606608424663097, 0.8362407228016108],
		["absolute", 0, 0.8638442872767914, null],
	] as const) {
		const goal = { metric: "accuracy", improveBy: { kind, value } };
		const declared = { ...DECLARED, spec: { ...DECLARED.spec, goal } };
		const { beliefs } = reportOf({ ...input, experiment: declared, evidence: { ...evidence, arms } });
		const [control, boosted] = beliefs?.arms ?? [];
		t.equal(control?.againstBaseline, null);
		t.ok(Math.abs((boosted?.againstBaseline?.flat ?? 0) - flat) < 1e-9, `${kind} ${boosted?.againstBaseline?.flat}`);
		const seen = boosted?.againstBaseline?.sceptic ?? null;
		if (sceptic === null) t.equal(seen, null, "no effect size is declared");
		else t.ok(Math.abs((seen ?? 0) - sceptic) < 1e-9, `${kind} ${seen}`);
	}
	t.end();
});

t.test("the report has the classical sample ratio test next to the always-valid one", (t) => {
	const input = reportInput(MEASURING);
	const exposures = [
		{ planVersion: "a", firstMs: 1, counts: { control: 500, boosted: 560 }, livePoints: { control: 1, boosted: 1 } },
	];
	const { sampleRatio } = reportOf({ ...input, evidence: { ...(input.evidence as Evidence), exposures } });
	// scipy.stats.chisquare([500, 560])
	t.ok(Math.abs((sampleRatio?.classic?.pValue ?? 0) - 0.06534575162837782) < 1e-12);
	t.match(sampleRatio?.classic, { degreesOfFreedom: 1 });
	t.ok((sampleRatio?.test?.p ?? 0) > 0.5, "far from an alarm");
	const none = reportOf({ ...input, evidence: { ...(input.evidence as Evidence), exposures: [] } });
	t.equal(none.sampleRatio?.classic, null);
	t.end();
});

t.test("all looks together give the intersection of intervals, with a note if it is empty", (t) => {
	const input = reportInput(MEASURING);
	const accuracy = (own: ReportInput) => reportOf(own).history.find(({ metric }) => metric === "accuracy");
	const { points = [], together } = accuracy(input) ?? {};
	t.match(together, {
		lower: Math.max(...points.map(({ lower }) => lower)),
		upper: Math.min(...points.map(({ upper }) => upper)),
		looks: points.length,
		contradicted: false,
	});
	const evidence = { ...(input.evidence as Evidence), periods: [] };
	const first = input.decisions.findIndex((decision) => decision.input !== null);
	const moved = (change: object): ReportInput => ({
		...{ ...input, evidence },
		decisions: input.decisions.map((decision, index) => {
			if (index !== first) return decision;
			const findings = decision.outcome.findings.map((finding) => ({
				...{ ...finding, lower: 0.5, upper: 0.6 },
				...change,
			}));
			return { ...decision, outcome: { ...decision.outcome, findings } };
		}),
	});
	const gone = accuracy(moved({}));
	t.match(gone?.together, { contradicted: true, lower: gone?.points.at(-1)?.lower });
	t.match(reportPage(reportOf(moved({}))), /no improvement in common/);
	t.equal(accuracy(moved({ alpha: 0.01 }))?.together.contradicted, false, "an interval at another level is skipped");
	t.end();
});

t.test("failure rates of the last minute are compared by counts", (t) => {
	const input = reportInput(MEASURING);
	const of = (v1: readonly [number, number], v2: readonly [number, number]) => {
		const health = [
			{ variant: "v1", requests: v1[0], failures: v1[1] },
			{ variant: "v2", requests: v2[0], failures: v2[1] },
		];
		return reportOf({ ...input, evidence: { ...(input.evidence as Evidence), health } });
	};
	const [control, boosted] = of([2_000, 10], [1_000, 40]).health;
	t.equal(control?.againstBaseline, null);
	// Eight times the rate; the exact interval that looks once (scipy's binomtest(40, 50).proportion_ci()) is 3.93 to 17.94.
	const { lower = 0, upper = 0 } = boosted?.againstBaseline ?? {};
	t.ok(lower > 2 && lower < 3.93 && upper > 17.94 && upper < 40, `${lower} to ${upper}`);
	t.match(reportPage(of([2_000, 10], [1_000, 40])), /last minute at most/);
	t.equal(of([2_000, 0], [1_000, 0]).health[1]?.againstBaseline, null, "nothing failed");
	t.match(of([2_000, 0], [1_000, 90]).health[1]?.againstBaseline, { upper: 1_000 });
	t.same(of([0, 0], [0, 0]).health, []);
	t.same(
		of([0, 0], [5, 1]).health.map(({ againstBaseline }) => againstBaseline),
		[null],
	);
	t.end();
});

t.test("the goal by segment has a stratified estimate next to the plain one", (t) => {
	const input = reportInput(MEASURING);
	const report = reportOf(input);
	const goal = report.segments.find(({ role }) => role === "goal");
	const claim = report.claims.find(({ role }) => role === "goal");
	t.equal(goal?.stratified?.strata, 4);
	t.ok(Math.abs((goal?.stratified?.crude.improvement ?? 0) - (claim?.improvement ?? 1)) < 1e-9);
	t.ok(Math.abs((goal?.stratified?.improvement ?? 0) - (claim?.improvement ?? 1)) < 0.01);
	t.match(reportPage(report), /Adjusted to equal shares of every <bdi>country<\/bdi>/);
	t.end();
});

t.test("planned looks have their classical test, and a bound above the line if the goal is proved", (t) => {
	const planned = (inference: InferenceDesign) =>
		reportInput(
			{ ...WINNING, days: 20 },
			{ ...DECLARED, spec: { ...DECLARED.spec, rollout: { ...DECLARED.spec.rollout, inference } } },
		);
	const line = 0.005;
	for (const design of [
		{ design: "group-sequential", looks: 4, units: 24_000, spending: "pocock" },
		{ design: "fixed-horizon", units: 16_000 },
	] as const) {
		const input = planned(design);
		const { looks } = reportOf(input);
		t.same(
			looks.map(({ atMs, arms: [one] }) => ({ atMs, units: one?.units, boundary: one?.boundary })),
			(input.status.looks ?? []).map(({ atMs, units, boundary }) => ({ atMs, units, boundary })),
		);
		t.ok(looks.length >= 1 && looks.some(({ arms }) => arms[0]?.proved), `${design.design}: ${looks.length} looks`);
		for (const { arms } of looks)
			for (const { z, boundary, proved, test } of arms) {
				t.ok(Math.abs((test?.z ?? 0) - (z ?? 1)) < 1e-12, "the z that was decided by");
				t.equal((test?.lower ?? 0) > line, proved);
				t.equal((test?.pValue ?? 1) < normalSf(boundary), proved);
				t.match(test, { test: "score" });
			}
		const page = reportPage(reportOf(input));
		t.match(page, /Planned looks at accuracy/);
		t.match(page, /✓ proved/);
	}
	const without = reportOf({ ...planned({ design: "fixed-horizon", units: 16_000 }), decisions: [] });
	t.equal(without.looks[0]?.arms[0]?.test, null, "where the decision is not kept its z is");
	t.ok((without.looks[0]?.arms[0]?.z ?? 0) > 2);
	t.match(
		reportPage(reportOf(planned({ design: "fixed-horizon", units: 900_000 }))),
		/No planned look has been taken yet/,
	);
	t.same(reportOf(reportInput(MEASURING)).looks, []);
	t.end();
});

t.test("p-values of several arms at one look are also adjusted by Holm", (t) => {
	const inference = { design: "fixed-horizon", units: 4_000 } as const;
	const arms = [...DECLARED.spec.arms, { name: "tuned", variant: "v3", weight: 1, baseline: false, parameters: {} }];
	const rollout = { ...DECLARED.spec.rollout, inference };
	const story = {
		...{ ...WINNING, days: 16, peoplePerDay: 1_000, accuracy: { control: 0.78, boosted: 0.8, tuned: 0.793 } },
		...{ slow: { ...WINNING.slow, tuned: 0.0005 }, errors: { ...WINNING.errors, tuned: 0.002 } },
	};
	const report = reportOf(reportInput(story, { ...DECLARED, spec: { ...DECLARED.spec, arms, rollout } }));
	const look = report.looks[0]?.arms ?? [];
	const [least = 1, most = 1] = look.map(({ test }) => test?.pValue ?? 1).sort((a, b) => a - b);
	t.same(
		look
			.map(({ holm }) => holm ?? 1)
			.sort((a, b) => a - b)
			.map((p) => p.toFixed(12)),
		[(2 * least).toFixed(12), Math.max(2 * least, most).toFixed(12)],
	);
	t.match(reportPage(report), /\(Holm [0-9.e-]+\)/);
	t.end();
});

t.test("a bandit's report names the units it counts, and why others are not tested", (t) => {
	const bandit = { algorithm: "thompson", floorPpm: 200_000, everyMs: 3_600_000 } as const;
	const declared = { ...DECLARED, spec: { ...DECLARED.spec, rollout: { ...DECLARED.spec.rollout, bandit } } };
	const input = { ...reportInput(MEASURING), experiment: declared };
	t.notMatch(reportPage(reportOf(input)), /changed shares/, "no share has changed yet");
	const shares = { ppm: { control: 1_000_000, boosted: 400_000 }, firstMovedAtMs: START_MS, movedAtMs: START_MS };
	const page = reportPage(reportOf({ ...input, status: { ...input.status, shares } }));
	t.match(page, /The bandit has changed shares since 2026-03-02 08:00:00 UTC.*first 20% of each arm’s live points/s);
	t.match(page, /The others are not tested/);
	t.end();
});

t.test("a holdback's report tests its own units at its own level, and names them after its end", (t) => {
	const holdback = { sharePpm: 50_000, forMs: 7 * DAY_MS };
	const declared = { ...DECLARED, spec: { ...DECLARED.spec, rollout: { ...DECLARED.spec.rollout, holdback } } };
	const made = reportInput(MEASURING, declared);
	const evidence = { ...(made.evidence as Evidence), periods: [] };
	const fromMs = START_MS + DAY_MS;
	const promotion = { arm: "boosted", variant: "v2", stepIndex: 2, takeoverPpm: 950_000 };
	const takeover = { fromMs, heldBack: { fromMs: fromMs + 1_000, sharePpm: 50_000 } };
	const held = { ...promotion, heldBackFromMs: fromMs + 1_000 };
	const status = { ...made.status, phase: "Promoting" as const, promotion: held, takeover };
	const input = { ...made, evidence, status };
	const report = reportOf(input);
	// Three claims; half of harm's part is the segments'.
	t.same([...new Set(report.claims.map(({ harmAlpha }) => harmAlpha))], [0.05 / 4 / 3 / 2]);
	t.ok(
		report.history.every(({ points }) => points.length === 1),
		"decisions before it looked at others",
	);
	t.same(report.sampleRatio?.history.length, 1);
	const page = reportPage(report);
	t.match(
		page,
		/Since 2026-03-03 08:00:01 UTC 5% of the old version’s people are held back. All numbers here are of people/,
	);
	t.notMatch(page, /a takeover began before it closed/);
	const before = reportOf({ ...input, status: { ...status, phase: "Promoted" as const, promotion } });
	t.equal(before.claims.at(-1)?.harmAlpha, (0.75 * 0.05) / 3 / 2);
	t.ok(
		before.history.every(({ points }) => points.length > 1),
		"those of the experiment before the takeover",
	);
	const laterPage = reportPage(before);
	t.match(laterPage, /The winner began to take over at 2026-03-03 08:00:00 UTC. Units that came later do not count/);
	t.match(laterPage, /left out: a takeover began before it closed/);
	t.end();
});

t.test("the report names causes other than evidence that hold a winner, and only present ones", (t) => {
	const { decisions: all } = reportInput(WINNING);
	const at = all.findIndex(({ outcome }) => outcome.action === "promote");
	const asked = all[at]?.input;
	if (!asked) throw new RangeError("nothing was promoted");
	const ready: ReportInput = { ...asked, atMs: asked.nowMs, decisions: all.slice(0, at) };
	const accessLosses = { boosted: "AccessPolicy all allows v1 and not v2" };
	const answerOf = (more: Partial<ReportInput> = {}, ...outcomes: readonly Outcome[]) => {
		const record = (outcome: Outcome): Decision => ({
			...{ experiment: "main", sequence: 9, atMs: ready.atMs, by: "weir", acknowledgedAtMs: null },
			...{
				input:
					outcome.rule === "declaration" ? null : { ...asked, ...(outcome.rule === "access" ? { accessLosses } : {}) },
				outcome,
			},
		});
		return reportOf({ ...ready, ...more, decisions: [...ready.decisions, ...outcomes.map(record)] }).answer;
	};
	const [next, howLong] = ["That is done in the next seconds.", "Now."];
	t.has(answerOf(), { state: "A winner", next, howLong });

	const concurrent = answerOf({ beingPromoted: "other" });
	t.match(
		concurrent.sentence,
		/^boosted would be ready, but another Experiment of the Service \(other\) is being promoted/,
	);
	t.equal(
		concurrent.next,
		"It goes on if its baseline's Variant or its own is the default then; else it is left to a person, unless its time is over by then; proved harm moves all traffic back to the old version at once.",
	);
	t.equal(concurrent.howLong, "");
	const paused = { beingPromoted: "other", status: { ...asked.status, phase: "Paused", hold: "person" } } as const;
	t.has(answerOf(paused), {
		next: "A person decides: weir resume or abort, and promote when Experiment other has ended.",
		howLong: "",
	});

	const shut = decide({ ...asked, accessLosses });
	const edit: Outcome = { ...decide(asked), action: "hold", rule: "declaration" };
	const access = answerOf({}, shut, edit);
	t.match(access.sentence, /^boosted would be ready, but AccessPolicy all allows v1 and not v2/);
	t.match(access.next, /^A person decides: /);
	t.match(access.howLong, /Without a verdict by /, "it ends then");

	const wanted = decide(asked);
	const gate = { at: "before-promotion", where: "gates.example", why: "HTTP 403", status: 403 } as const;
	const atGate = answerOf({}, heldByGate(asked, wanted, gate));
	t.match(atGate.sentence, /gates\.example was asked and did not agree/);
	t.has(atGate, { next: "It goes on when the gate agrees.", howLong: "" });
	const edited = answerOf({}, heldByGate(asked, wanted, gate), edit);
	t.same(edited, atGate, "an edit does not answer for the gate");
	const atStep = answerOf({}, heldByGate(asked, wanted, { ...gate, at: "before-step" }));
	t.same(atStep, atGate, "before the takeover's first step, too");
	const earlier = { status: { ...asked.status, stepIndex: 0 } };
	t.notMatch(answerOf(earlier, heldByGate(asked, wanted, gate)).sentence, /did not agree/, "of a ramp it is not asked");

	t.equal(answerOf({ closed: true }, shut).next, access.next, "nor would this");
	for (const outcomes of [[], [heldByGate(asked, wanted, gate)]]) {
		const closed = answerOf({ closed: true }, ...outcomes);
		t.match(closed.sentence, /^Held, because the Service is closed: accuracy is .*: v2 takes over/);
		t.match(closed.next, /^That is done when the Service is open again:/);
		t.equal(closed.howLong, "");
	}
	const spec = { ...asked.experiment.spec };
	const gates = [{ at: "before-promotion", url: "https://gates.example", timeoutMs: 1_000 }] as const;
	const gated = { ...asked.experiment, spec: { ...spec, rollout: { ...spec.rollout, gates } } };
	t.match(
		answerOf({ closed: true, experiment: gated }).next,
		/^That is done when the Service is open again and its gate agrees:/,
	);
	t.equal(answerOf({ closed: true, beingPromoted: "other" }).next, concurrent.next, "an open Service would also wait");
	t.end();
});

t.test("an ended Experiment names the Variant that serves now", (t) => {
	const ended = (story: typeof WINNING, defaultVariant?: string) =>
		reportOf({ ...reportInput(story), ...(defaultVariant === undefined ? {} : { defaultVariant }) }).answer.next;
	t.match(ended(HARMFUL), /v1 serves all traffic again/);
	t.match(ended(HARMFUL, "v3"), /v3 serves all traffic\./, "another Experiment's winner");
	t.match(ended(WINNING, "v2"), /v2 is the default/);
	t.match(ended(WINNING, "v3"), /v3 is the default/);
	t.end();
});
