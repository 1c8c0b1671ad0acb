/** The effect of onHarm, and harm in segments. */
import t from "tap";
import { decide } from "../../../src/decide/rollout/decide.js";
import type { DecisionInput } from "../../../src/decide/rollout/decision.js";
import { commandOutcome } from "../../../src/decide/rollout/person.js";
import { levels, levelsInEra, segmentShare } from "../../../src/infer/statistics/claim.js";
import { compareShares, mayBeBelow } from "../../../src/infer/statistics/compareShares.js";
import type { SegmentEvidence } from "../../../src/infer/statistics/evidence.js";
import type { Question } from "../../../src/infer/statistics/question.js";
import { logEvidence, PRIOR_RARE } from "../../../src/infer/statistics/sequential/bernoulliMixture.js";
import { random } from "../../infer/statistics/random.js";
import { evidence, experiment, input, LAST_STEP, METRICS, metric, ROLLOUT, rate, status } from "./example.js";

const BAD = evidence({ control: { n: 300 }, boosted: { n: 300, errors: 0.4 } });
const SAME = { slope: 1, offset: 0 };
const FREEZE = { rollout: { ...ROLLOUT, onHarm: "freeze" } } as const;

t.test("onHarm freeze holds the allocation, once for every harm, until a person decides", async (t) => {
	const frozen = experiment(["boosted"], FREEZE);
	const made = input({ experiment: frozen, evidence: BAD });
	const first = decide(made);
	t.match(first, {
		action: "pause",
		rule: "harm",
		reason: /^Frozen at 20%, a person decides: error-rate of arm boosted is proved worse/,
		summary: /^errors are 40 points worse \(at least \d+\): stopped at 20% until a person decides\.$/,
		status: { phase: "Paused", hold: "harm", allocationPpm: 200_000, closedArms: [] },
	});
	const again = decide({ ...made, status: first.status });
	t.match(again, { action: "hold", rule: "harm", waitsFor: "person" });
	t.same(again.status, first.status);

	const resumed = commandOutcome({ experiment: frozen, status: first.status, by: "ada", nowMs: 1 }, { verb: "resume" });
	t.match(decide({ ...made, status: resumed.status }), { action: "ramp" }, "an accepted harm no longer holds");
	const other = evidence({ control: { n: 300 }, boosted: { n: 300, errors: 0.4, slow: 0.9 } });
	const second = decide({ ...made, status: resumed.status, evidence: other });
	t.match(second, { action: "pause", rule: "harm", status: { hold: "harm" } }, "another harm holds");
	t.equal(second.status.frozenHarms?.length, 2);
});

t.test("harm is still reported after an operator paused", async (t) => {
	const outcome = decide(
		input({
			experiment: experiment(["boosted"], FREEZE),
			status: status({ phase: "Paused", hold: "person" }),
			evidence: BAD,
		}),
	);
	t.match(outcome, { action: "pause", rule: "harm", status: { hold: "harm" } });
});

/** The challenger's errors by country; the other evidence has no effect. */
function bySegment(errors: Readonly<Record<string, number>>, n = 400, segment = "country"): SegmentEvidence[] {
	return Object.entries(errors).map(([value, share], rank) => ({
		segment,
		value: value === "" ? null : value,
		rank,
		arms: [
			{ arm: "control", metrics: { "error-rate": rate(n, 0) } },
			{ arm: "boosted", metrics: { "error-rate": rate(n, share) } },
		],
	}));
}

const SEGMENTED = experiment(["boosted"], { segments: [{ name: "country", header: "x-country" }] });
const inCountries = (segments: SegmentEvidence[], change: Partial<DecisionInput> = {}) =>
	decide(
		input({
			experiment: SEGMENTED,
			evidence: evidence({ control: { n: 1_000 }, boosted: { n: 1_000, errors: 0.003 } }, { segments }),
			...change,
		}),
	);

t.test("harm in one segment rolls back, and the reason names the segment", async (t) => {
	const outcome = inCountries(bySegment({ FR: 0, DE: 0.2 }));
	t.match(outcome, {
		action: "roll-back",
		rule: "harm",
		reason: /error-rate of arm boosted in country DE is proved worse than its margin -0.005/,
		summary: /^errors where country is DE are 20 points worse \(at least \d+\): v2 is rolled back\.$/,
	});
	const found = outcome.findings.filter(({ segment }) => segment !== undefined);
	t.match(found, [{ segment: { name: "country", value: "DE" }, verdict: "harm", challenger: { n: 400, mean: 0.2 } }]);
	t.match(inCountries(bySegment({ FR: 0, "": 0.2 })).reason, /in country \(all rarer values\)/);
});

t.test("no harm is found without harm in a segment, in an undeclared segment, or in broken numbers", async (t) => {
	t.equal(inCountries(bySegment({ FR: 0, DE: 0.004 })).action, "ramp");
	t.equal(inCountries(bySegment({ DE: 0.2 }, 400, "device")).action, "ramp");
	const broken = bySegment({ DE: 0.2 }).map((entry) => ({
		...entry,
		arms: entry.arms.map((arm) => ({ ...arm, metrics: { "error-rate": { n: 400, mean: Number.NaN, m2: 1 } } })),
	}));
	t.equal(inCountries(broken).action, "ramp");
});

t.test(
	"segments get half of harm's alpha, split by rank, so that later values take none from earlier ones",
	async (t) => {
		const { harm, segmentHarm, pass } = levels(SEGMENTED);
		t.equal(harm, 0.05 / 3 / 2);
		t.equal(segmentHarm, 0.05 / 3 / 2);
		t.equal(pass, 0.05);
		t.match(levels(experiment()), { harm: 0.05 / 3, segmentHarm: 0, pass: 0.05 });
		const header = (name: string) => ({ name, header: `x-${name}` });
		const three = levels(experiment(["boosted"], { segments: ["country", "device", "plan"].map(header) }));
		t.match(three, { harm: 0.05 / 3 / 2, segmentHarm: 0.05 / 3 / 2 / 3, pass: 0.05 }, "three segments share it");
		let spent = 0;
		for (let rank = 0; rank < 10_000; rank++) spent += segmentShare(rank);
		t.ok(spent < 1 && spent > 0.9998, `${spent}`);
		const levelAt = (rank: number) => {
			const [only] = bySegment({ DE: 0.5 });
			const found = inCountries(only === undefined ? [] : [{ ...only, rank }]).findings.at(-1);
			return found?.harmAlpha;
		};
		t.same(
			[levelAt(0), levelAt(1), levelAt(5)],
			[segmentHarm * (1 / 2), segmentHarm * (1 / 6), segmentHarm * (1 / 42)],
		);
	},
);

t.test("a later value of a segment needs more units for the same harm than the first one", async (t) => {
	const found = (rank: number, n: number) => {
		const [only] = bySegment({ DE: 0.06 }, n);
		return inCountries(only === undefined ? [] : [{ ...only, rank }]).rule === "harm";
	};
	t.same([found(0, 200), found(20, 200), found(20, 800)], [true, false, true]);
});

t.test("a quantile's claim in a segment has its own level and no tolerance for harm, as over all units", async (t) => {
	const slow = (n: number, share: number, inBaseline = 0.01): SegmentEvidence => ({
		...{ segment: "country", value: "DE", rank: 1 },
		arms: [
			{ arm: "control", metrics: { "latency-p99": rate(n, inBaseline) } },
			{ arm: "boosted", metrics: { "latency-p99": rate(n, share) } },
		],
	});
	const { segmentHarm, pass } = levelsInEra(levels(SEGMENTED), {
		reference: { quantile: 0.99, referenceMs: 20, era: 1, grid: false },
	});
	t.match(inCountries([slow(1_000, 0.1)]).findings.at(-1), {
		segment: { name: "country", value: "DE" },
		metric: "latency-p99",
		verdict: "harm",
		alpha: pass,
		harmAlpha: segmentHarm * (1 / 6),
	});
	// The challenger is proved slower, though within the tolerance of a pass.
	t.match(inCountries([slow(400_000, 0.012)]).findings.at(-1), { segment: { value: "DE" }, verdict: "harm" });
	t.equal(inCountries([slow(400_000, 0.01)]).action, "ramp");
	t.equal(inCountries([slow(4_000, 0.4, 0.2)]).action, "ramp", "a slow country has another quantile");
	const most = (share: number) => inCountries([slow(1_000, share)]).findings.at(-1)?.segment !== undefined;
	const shares = Array.from({ length: 100 }, (_, i) => i / 1_000);
	const first = shares.find(most) ?? 1;
	const logE = logEvidence("above", { n: 1_000, sum: 1_000 * first }, { n: 1_000, sum: 10 }, SAME, PRIOR_RARE);
	const before = logEvidence("above", { n: 1_000, sum: 1_000 * first - 1 }, { n: 1_000, sum: 10 }, SAME, PRIOR_RARE);
	const needed = -Math.log(segmentHarm / 6);
	t.ok(logE >= needed && before < needed, `${before} < ${needed} <= ${logE}`);
});

t.test("a mean with heavy tails is neither harm nor a pass, and the note suggests a cap", async (t) => {
	const metrics = { ...METRICS, revenue: metric("revenue", { type: "mean" }) };
	const own = experiment(["boosted"], {
		guardrails: [],
		goal: { metric: "revenue", improveBy: { kind: "absolute", value: 0 } },
	});
	const at = (mean: number, hi: number) => {
		const data = evidence({ control: { n: 4_000 }, boosted: { n: 4_000 } });
		const arms = data.arms.map((arm) => ({
			...arm,
			metrics: {
				revenue: { n: 4_000, mean: arm.arm === "control" ? 20 : mean, m2: 4_000 * 900, extremes: [{ lo: 0, hi }] },
			},
		}));
		const last = status({ ...LAST_STEP, thresholds: {} });
		return decide(input({ experiment: own, metrics, status: last, evidence: { ...data, arms } }));
	};
	t.match(at(12, 300), { action: "roll-back", rule: "harm" });
	t.match(at(28, 300), { action: "promote" });
	for (const mean of [12, 28])
		t.match(at(mean, 900), {
			action: "hold",
			waitsFor: "proof",
			reason:
				/revenue of arm boosted is unknown: tails too heavy for a result: one unit .*; more units may do, or .* a cap/,
			findings: [{ verdict: "unknown", lower: null, upper: null }],
		});
});

t.test("the largest valid Experiment is decided with little work: bounds are computed only near harm", async (t) => {
	const arms = Array.from({ length: 6 }, (_, index) => `arm-${index}`);
	const names = Array.from({ length: 15 }, (_, index) => `m${index}`);
	const large = experiment(arms, {
		goal: { metric: "m0", improveBy: { kind: "absolute", value: 0.001 } },
		guardrails: names.slice(1).map((name) => ({ metric: name, margin: { kind: "absolute", value: 0.0001 } })),
		segments: ["a", "b", "c", "d", "e"].map((name) => ({ name, header: `x-${name}` })),
	});
	const next = random(5);
	const part = (arm: string, n: number) => ({
		arm,
		metrics: Object.fromEntries(
			// Every challenger is seen a little worse everywhere, and nowhere is it proved.
			names.map((name) => [name, rate(n, Math.round(n * (arm === "control" ? 0.5 : 0.499 - 0.004 * next())) / n)]),
		),
	});
	const everyone = ["control", ...arms];
	const made = evidence(Object.fromEntries(everyone.map((arm) => [arm, { n: 50_000 }])), {
		segments: large.spec.segments.flatMap(({ name }) =>
			Array.from({ length: 21 }, (_, rank) => ({
				segment: name,
				value: `v${rank}`,
				rank,
				arms: everyone.map((arm) => part(arm, 5_000)),
			})),
		),
	});
	const whole = { ...made, arms: made.arms.map((arm) => ({ ...arm, ...part(arm.arm, 50_000) })) };
	const metrics = Object.fromEntries(names.map((name) => [name, metric(name, {})]));
	// What the search is made of: work, and not this machine's time.
	const { log } = Math;
	let logs = 0;
	Math.log = (x) => {
		logs += 1;
		return log(x);
	};
	t.teardown(() => {
		Math.log = log;
	});
	const outcome = decide(input({ experiment: large, metrics, status: status({ thresholds: {} }), evidence: whole }));
	Math.log = log;
	const tests = 6 * 15 * 105;
	t.equal(outcome.findings.length, 6 * 15, "and no harm is found");
	t.ok(logs < 5 * tests, `${logs} logarithms for ${tests} tests`);
});

t.test("no bound is computed for a value that is not worse by its estimate", async (t) => {
	const { log } = Math;
	t.teardown(() => {
		Math.log = log;
	});
	const logsWith = (segments: SegmentEvidence[]): number => {
		let logs = 0;
		Math.log = (x) => {
			logs += 1;
			return log(x);
		};
		inCountries(segments);
		Math.log = log;
		return logs;
	};
	const [only] = bySegment({ DE: 0 });
	const better = Array.from(
		{ length: 40 },
		(_, rank): SegmentEvidence => ({
			...{ segment: "country", value: `v${rank}`, rank },
			arms: (only?.arms ?? []).map(({ arm }) => ({
				arm,
				metrics: {
					"error-rate": rate(4_000, arm === "control" ? 0.2 : 0.1),
					accuracy: rate(4_000, arm === "control" ? 0.7 : 0.8),
				},
			})),
		}),
	);
	const [none, many] = [logsWith([]), logsWith(better)];
	t.ok(many - none < better.length, `${many - none} logarithms for ${2 * better.length} claims`);
});

t.test("the fast check at one null point never hides a harm that the bound proves", async (t) => {
	const next = random(11);
	let [near, proved] = [0, 0];
	for (let round = 0; round < 600; round++) {
		const down = next() < 0.5;
		const relative = next() < 0.4;
		const declared = metric("m", down ? { source: "errors", direction: "down" } : {});
		const [nt, nc] = [Math.ceil(30 * 200 ** next()), Math.ceil(30 * 200 ** next())];
		const base = down ? 0.002 + 0.1 * next() : 0.2 + 0.7 * next();
		const line = -0.05 * next() * (relative ? 1 : base);
		const question: Question = {
			metric: declared,
			role: "guardrail",
			effect: { kind: relative ? "relative" : "absolute", value: -line },
			slowLine: 0,
			reference: null,
			meanUnits: 2_000,
			alpha: 0.05,
			harmAlpha: 0.05 / 3,
			shares: { challenger: 1, baseline: 1 },
		};
		const sd = Math.sqrt(base * (1 - base) * (1 / nt + 1 / nc));
		const worse = base + (down ? 1 : -1) * ((3 + 3 * next()) * sd - line * (relative ? base : 1));
		const hits = (n: number, p: number) => Math.min(n, Math.max(0, Math.round(n * p)));
		const [t1, c1] = [rate(nt, hits(nt, worse) / nt), rate(nc, hits(nc, base) / nc)];
		const found = compareShares(question, t1, c1);
		if (!("upper" in found)) throw new RangeError(found.note);
		const harmful = found.upper < line;
		const may = mayBeBelow(question, t1, c1, line);
		if (harmful) t.ok(may, JSON.stringify({ question, t1, c1 }));
		proved += harmful ? 1 : 0;
		near += may && !harmful ? 1 : 0;
	}
	t.ok(proved > 100, `${proved} harms`);
	t.ok(near < 60, `${near} of the others had to be searched`);
});

t.test("an impossible variance of shares gives no harm verdict", async (t) => {
	const data = evidence({ control: { n: 4_000 }, boosted: { n: 4_000, errors: 0.2 } });
	const arms = data.arms.map((arm) => ({
		...arm,
		metrics: { ...arm.metrics, "error-rate": { n: 4_000, mean: arm.arm === "control" ? 0 : 0.2, m2: 2_000 } },
	}));
	t.equal(decide(input({ evidence: data })).rule, "harm");
	const outcome = decide(input({ evidence: { ...data, arms } }));
	t.not(outcome.rule, "harm");
	t.match(
		outcome.findings.find((finding) => finding.metric === "error-rate"),
		{ verdict: "unknown", note: /a spread that no values in \[0, 1\] can have/ },
	);
});

t.test("without latency and counts nothing is frozen", async (t) => {
	const fresh = status({ thresholds: {} });
	for (const measured of [
		{ valueMs: -1, requests: 10_000, units: 10_000 },
		{ valueMs: 20, requests: Number.NaN, units: 10_000 },
	])
		t.equal(decide(input({ status: fresh, baselineQuantiles: { "latency-p99": measured } })).rule, "wait");
});
