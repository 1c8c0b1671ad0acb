/** Harm: what onHarm does, and harm in a segment. */
import t from "tap";
import { levels, levelsInEra, segmentShare } from "../../src/analysis/claim.js";
import type { SegmentEvidence } from "../../src/analysis/evidence.js";
import { logEvidence, PRIOR_RARE } from "../../src/analysis/sequential/bernoulliMixture.js";
import { decide } from "../../src/rollout/decide.js";
import type { DecisionInput } from "../../src/rollout/decision.js";
import { actByPerson } from "../../src/rollout/person.js";
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
		summary: /^No more people get it than the present 20%/,
		status: { phase: "Paused", hold: "harm", allocationPpm: 200_000, closedArms: [] },
	});
	const again = decide({ ...made, status: first.status });
	t.match(again, { action: "hold", rule: "harm", waitsFor: "person" });
	t.same(again.status, first.status);

	const resumed = actByPerson({ experiment: frozen, status: first.status, by: "ada", nowMs: 1 }, { verb: "resume" });
	t.match(decide({ ...made, status: resumed.status }), { action: "ramp" }, "what a person has seen stops it no more");
	const other = evidence({ control: { n: 300 }, boosted: { n: 300, errors: 0.4, slow: 0.9 } });
	const second = decide({ ...made, status: resumed.status, evidence: other });
	t.match(second, { action: "pause", rule: "harm", status: { hold: "harm" } }, "another harm does");
	t.equal(second.status.frozenHarms?.length, 2);
});

t.test("frozen by a person's pause first, harm is still told", async (t) => {
	const outcome = decide(
		input({
			experiment: experiment(["boosted"], FREEZE),
			status: status({ phase: "Paused", hold: "person" }),
			evidence: BAD,
		}),
	);
	t.match(outcome, { action: "pause", rule: "harm", status: { hold: "harm" } });
});

/** Errors of the challenger by country: the rest of the evidence shows nothing. */
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

t.test("harm in one segment rolls back and names it", async (t) => {
	const outcome = inCountries(bySegment({ FR: 0, DE: 0.2 }));
	t.match(outcome, {
		action: "roll-back",
		rule: "harm",
		reason: /error-rate of arm boosted in country DE is proved worse than its margin -0.005/,
		summary: /error-rate of boosted where country is DE is worse: 20 points more/,
	});
	const found = outcome.findings.filter(({ segment }) => segment !== undefined);
	t.match(found, [{ segment: { name: "country", value: "DE" }, verdict: "harm", challenger: { n: 400, mean: 0.2 } }]);
	t.match(inCountries(bySegment({ FR: 0, "": 0.2 })).reason, /in country \(all rarer values\)/);
});

t.test("no harm in any segment, an undeclared one, broken numbers: nothing is found", async (t) => {
	t.equal(inCountries(bySegment({ FR: 0, DE: 0.004 })).action, "ramp");
	t.equal(inCountries(bySegment({ DE: 0.2 }, 400, "device")).action, "ramp");
	const broken = bySegment({ DE: 0.2 }).map((entry) => ({
		...entry,
		arms: entry.arms.map((arm) => ({ ...arm, metrics: { "error-rate": { n: 400, mean: Number.NaN, m2: 1 } } })),
	}));
	t.equal(inCountries(broken).action, "ramp");
});

t.test(
	"segments take half of harm's alpha, each value by its rank: what comes later takes nothing from before",
	async (t) => {
		const { harm, segmentHarm, pass } = levels(SEGMENTED);
		t.equal(harm, 0.05 / 3 / 2);
		t.equal(segmentHarm, 0.05 / 3 / 2);
		t.equal(pass, 0.05);
		t.match(levels(experiment()), { harm: 0.05 / 3, segmentHarm: 0, pass: 0.05 });
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

t.test("the same errors that are harm as the first value of a segment need more units as a late one", async (t) => {
	const found = (rank: number, n: number) => {
		const [only] = bySegment({ DE: 0.06 }, n);
		return inCountries(only === undefined ? [] : [{ ...only, rank }]).rule === "harm";
	};
	t.same([found(0, 200), found(20, 200), found(20, 800)], [true, false, true]);
});

t.test("a quantile's claim in a segment: its own level, and no tolerance for harm, as over all units", async (t) => {
	const slow = (n: number, share: number, inBaseline = 0.01): SegmentEvidence => ({
		...{ segment: "country", value: "DE", rank: 1 },
		arms: [
			{ arm: "control", metrics: { "latency-p99": rate(n, inBaseline) } },
			{ arm: "boosted", metrics: { "latency-p99": rate(n, share) } },
		],
	});
	const { segmentHarm, pass } = levelsInEra(levels(SEGMENTED), {
		reference: { quantile: 0.99, referenceMs: 20, era: 1 },
	});
	t.match(inCountries([slow(1_000, 0.1)]).findings.at(-1), {
		segment: { name: "country", value: "DE" },
		metric: "latency-p99",
		verdict: "harm",
		alpha: pass,
		harmAlpha: segmentHarm * (1 / 6),
	});
	// Within the tolerance of a pass, and proved slower all the same.
	t.match(inCountries([slow(400_000, 0.012)]).findings.at(-1), { segment: { value: "DE" }, verdict: "harm" });
	t.equal(inCountries([slow(400_000, 0.01)]).action, "ramp");
	t.equal(inCountries([slow(4_000, 0.4, 0.2)]).action, "ramp", "a far country: its p80 is no p99");
	const most = (share: number) => inCountries([slow(1_000, share)]).findings.at(-1)?.segment !== undefined;
	const shares = Array.from({ length: 100 }, (_, i) => i / 1_000);
	const first = shares.find(most) ?? 1;
	const logE = logEvidence("above", { n: 1_000, sum: 1_000 * first }, { n: 1_000, sum: 10 }, SAME, PRIOR_RARE);
	const before = logEvidence("above", { n: 1_000, sum: 1_000 * first - 1 }, { n: 1_000, sum: 10 }, SAME, PRIOR_RARE);
	const needed = -Math.log(segmentHarm / 6);
	t.ok(logE >= needed && before < needed, `${before} < ${needed} <= ${logE}`);
});

t.test("a mean whose tails are too heavy is neither harm nor a pass, and says what helps", async (t) => {
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
			reason: /revenue of arm boosted is unknown: tails too heavy to tell: one unit .*; more units may do, or .* a cap/,
			findings: [{ verdict: "unknown", lower: null, upper: null }],
		});
});
