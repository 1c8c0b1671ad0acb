/**
 * Verdicts about a quantile where errors are likeliest: a challenger exactly at the tolerance or the margin, with thresholds
 * frozen from a new sample of the baseline each time. test/long has more runs.
 */
import t from "tap";
import { decide } from "../../../src/decide/rollout/decide.js";
import { recompute } from "../../../src/decide/rollout/recompute.js";
import { CENTRE, gridQuantiles } from "../../../src/infer/statistics/quantileGrid.js";
import { evidence, input, LAST_STEP, rate, status } from "./example.js";
import { EDGES, endsIn } from "./simulateLatency.js";

const RUNS = 20;
/** 99 % upper limit of Binomial(20, 0.05). */
const LIMIT = 4;

for (const world of EDGES)
	t.test(world.name, async (t) => {
		const ends = endsIn(world, RUNS);
		t.comment(`of ${RUNS}: ${JSON.stringify(ends)}`);
		t.ok(ends[world.wrong] <= LIMIT);
		if (world.ends) t.ok(ends[world.wrong === "harmed" ? "promoted" : "harmed"] >= RUNS - 2);
	});

t.test("a quantile's grid is frozen together with the quantile", async (t) => {
	const others = gridQuantiles(0.99).map((_, index) => 10 + index);
	const measured = { "latency-p99": { valueMs: 20, others, requests: 5_000, units: 300 } };
	const made = input({ status: status({ thresholds: {} }), baselineQuantiles: measured });
	const outcome = decide(made);
	t.same(outcome.status.thresholds["latency-p99"], {
		...{ thresholdMs: 40, referenceMs: 20, era: 1, gridMs: others },
		...{ frozenAtMs: 100_000, sampleSize: 5_000 },
	});
	const stored = { experiment: "main", sequence: 1, atMs: 1, by: "weir", acknowledgedAtMs: null };
	t.ok(recompute(JSON.parse(JSON.stringify({ ...stored, input: made, outcome })))?.matches);
	const broken = { "latency-p99": { ...measured["latency-p99"], others: [...others.slice(1), Number.NaN] } };
	t.notOk("gridMs" in (decide({ ...made, baselineQuantiles: broken }).status.thresholds["latency-p99"] ?? {}));
});

t.test("a pass needs the quantile itself: shares above one pair of thresholds are not enough", async (t) => {
	const gridMs = gridQuantiles(0.99).map((_, index) => 10 + index);
	const threshold = { thresholdMs: 40, referenceMs: 20, era: 1, gridMs, frozenAtMs: 0, sampleSize: 5_000 };
	const frozen = status({ ...LAST_STEP, thresholds: { "latency-p99": threshold } });
	const shares = (stretch: number) => gridQuantiles(0.99).map((q) => stretch * (1 - q));
	const at = (control: readonly number[], boosted: readonly number[]) => {
		const present = evidence({ control: { n: 20_000, accuracy: 0.78 }, boosted: { n: 20_000, accuracy: 0.83 } });
		const slow: Readonly<Record<string, readonly number[]>> = { control, boosted };
		const arms = present.arms.map((arm) => {
			const p99 = arm.metrics["latency-p99"] ?? { n: 0, mean: 0, m2: 0 };
			const own = slow[arm.arm] ?? [];
			const measured = { ...rate(20_000, own[CENTRE] ?? p99.mean), slow: own };
			return { ...arm, metrics: { ...arm.metrics, "latency-p99": measured } };
		});
		const outcome = decide(input({ status: frozen, evidence: { ...present, arms } }));
		const { verdict = "", note = "" } = outcome.findings[0] ?? {};
		if (verdict === "open") {
			t.match(note, /not yet for every place where the baseline's own quantile may lie/);
			t.match(outcome, { expectedMs: null, reason: /proved above the frozen thresholds, but/ });
			t.match(outcome.summary, /the old version's own latency is not known well enough yet/);
		}
		return verdict;
	};
	t.equal(at(shares(1), shares(0.2)), "pass");
	t.equal(at(shares(1), shares(0.2).fill(0.02, 0, CENTRE)), "open", "2 % of the challenger are above the ones below");
	t.equal(at(shares(0.4).fill(0.004, 0, CENTRE), shares(0.2)), "open", "the baseline's quantile lies below the grid");
	t.equal(at(shares(1), []), "open", "not known");
});

t.test("harm needs the quantile itself too, without the tolerance of a pass", async (t) => {
	const gridMs = gridQuantiles(0.99).map((_, index) => 10 + index);
	const threshold = { thresholdMs: 40, referenceMs: 20, era: 1, gridMs, frozenAtMs: 0, sampleSize: 5_000 };
	const frozen = status({ ...LAST_STEP, thresholds: { "latency-p99": threshold } });
	const shares = (stretch: number) => gridQuantiles(0.99).map((q) => stretch * (1 - q));
	const at = (n: number, control: readonly number[], boosted: readonly number[]) => {
		const slow: Readonly<Record<string, readonly number[]>> = { control, boosted };
		const made = evidence({ control: { n }, boosted: { n } });
		const arms = made.arms.map((arm) => {
			const own = slow[arm.arm] ?? [];
			return { ...arm, metrics: { ...arm.metrics, "latency-p99": { ...rate(n, own[CENTRE] ?? 0), slow: own } } };
		});
		return decide(input({ status: frozen, evidence: { ...made, arms } })).findings[0]?.verdict;
	};
	// The baseline's quantile has risen to where 0.71 of the frozen odds were, and few of the challenger's are above the margin there.
	const few = gridQuantiles(0.99).map((_, index) => (index <= CENTRE ? 0.05 : 0.002));
	t.equal(at(20_000, shares(1.4), few), "open");
	t.equal(at(20_000, shares(1.4), few.fill(0.05)), "harm");
	t.equal(at(4_000_000, shares(1), shares(1.2)), "harm", "less than the quarter that a pass tolerates");
});
