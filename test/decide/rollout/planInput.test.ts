/** The input of a plan from the declaration and known evidence, and the list of unknowns. */
import t from "tap";
import { mergePlanEvidence, planEvidenceOf } from "../../../src/decide/rollout/planEvidence.js";
import { PLAN_DAYS, planInputOf } from "../../../src/decide/rollout/planInput.js";
import type { Metric } from "../../../src/declare/resources/resource.js";
import { planOf } from "../../../src/infer/planning/plan.js";
import type { Evidence } from "../../../src/infer/statistics/evidence.js";
import { DECLARED, MEASURING, reportInput } from "../report/example.js";
import { experiment, METRICS, metric, ROLLOUT } from "./example.js";

const ASSUMED = { power: 0.8, days: null, effects: {} };
const known = (mean: number, variance: number | null = null) => ({ mean, variance, from: "a test" });

t.test("a plan without evidence contains only quantiles, and names every missing flag", (t) => {
	const { input, unknown, baselines } = planInputOf(experiment(), METRICS, { baselines: {}, traffic: null }, ASSUMED);
	t.match(input?.metrics, [{ name: "latency-p99", role: "guardrail", effect: { kind: "relative", value: 1 } }]);
	t.ok(Math.abs((input?.metrics[0]?.believed ?? 0) - 0.005) < 1e-12, "half of the slow requests");
	t.ok(Math.abs((input?.metrics[0]?.slowLine ?? 0) - 0.0025) < 1e-12, "with the tolerance of its test");
	t.ok(Math.abs((input?.metrics[0]?.baselineMean ?? 0) - 0.01) < 1e-12);
	t.same(Object.keys(baselines), ["latency-p99"]);
	for (const flag of [
		"--baseline error-rate=MEAN",
		"--baseline accuracy=MEAN",
		"--traffic",
		"--effect latency-p99=SIZE",
	])
		t.ok(
			unknown.some((one) => one.includes(flag)),
			flag,
		);
	t.end();
});

t.test("each metric is planned for its own test", (t) => {
	const metrics: Readonly<Record<string, Metric>> = {
		...METRICS,
		stars: metric("stars", { type: "mean", range: { lo: 1, hi: 5 } }),
		revenue: metric("revenue", { type: "mean" }),
	};
	const declared = experiment(["boosted"], {
		goal: { metric: "revenue", improveBy: { kind: "relative", value: 0.02 } },
		guardrails: [
			{ metric: "stars", margin: { kind: "absolute", value: 0.2 } },
			{ metric: "error-rate", margin: { kind: "relative", value: 0.5 } },
		],
	});
	const facts = {
		baselines: { stars: known(4, 0.64), revenue: known(20, 900), "error-rate": known(0.01) },
		traffic: { newUnitsPerDay: [1_000], from: "a test" },
	};
	const { input, unknown } = planInputOf(declared, metrics, facts, ASSUMED);
	t.same(unknown, [
		"how far the farthest value of revenue lies out, so light tails are assumed: give --baseline revenue=MEAN,SD,MOST",
	]);
	const all = { ...facts, baselines: { ...facts.baselines, revenue: { ...known(20, 900), farthest: 500 } } };
	const plan = planInputOf(declared, metrics, all, ASSUMED);
	t.same(plan.unknown, []);
	t.equal(plan.input?.metrics.find(({ name }) => name === "revenue")?.farthest, 500);
	t.match(input, {
		metrics: [
			{ name: "stars", role: "guardrail", baselineMean: 4, variance: 0.64, believed: 0 },
			{ name: "error-rate", role: "guardrail", effect: { kind: "relative", value: 0.5 }, believed: 0 },
			{ name: "revenue", role: "goal", variance: 900, effect: { kind: "relative", value: 0.02 }, believed: 0.04 },
		],
		weights: [1, 1],
		design: { design: "sequential" },
		traffic: { slotShare: 1, core: null, steps: [0.2, 0.5, 1], horizonDays: 600_000 / 86_400_000 },
	});
	const spread = planInputOf(declared, metrics, { ...facts, baselines: { revenue: known(20) } }, ASSUMED);
	t.ok(spread.unknown.some((one) => one.includes("the spread of revenue: give --baseline revenue=MEAN,SD")));
	const outside = planInputOf(declared, metrics, { ...facts, baselines: { stars: known(7) } }, ASSUMED);
	t.ok(outside.unknown.some((one) => one.includes("outside of its range")));
	const widest = planInputOf(declared, metrics, { ...facts, baselines: { stars: known(4) } }, ASSUMED);
	t.ok(widest.unknown.some((one) => one.startsWith("the spread of stars, so its numbers are those of the widest")));
	const wide = planInputOf(declared, metrics, { ...facts, baselines: { stars: known(4, 9) } }, ASSUMED);
	t.ok(wide.unknown.some((one) => one.includes("more than its range allows at a level of 4")));
	t.equal(
		planInputOf(experiment(["b"], { rollout: { ...ROLLOUT, maxDurationMs: null } }), METRICS, facts, ASSUMED).input
			?.traffic?.horizonDays,
		PLAN_DAYS,
	);
	t.end();
});

t.test("the plan uses the declared design and the bandit's floor", (t) => {
	const facts = {
		baselines: { accuracy: known(0.78), "error-rate": known(0.001) },
		traffic: { newUnitsPerDay: [1_000], from: "a test" },
	};
	const inference = { design: "group-sequential", looks: 3, units: 6_000, spending: "pocock" } as const;
	const looked = planInputOf(experiment(["b"], { rollout: { ...ROLLOUT, inference } }), METRICS, facts, ASSUMED);
	t.same(looked.input?.design, inference);
	t.notOk(looked.unknown.some((one) => one.includes("looks")));
	t.notOk(looked.unknown.some((one) => one.includes("cap")));
	const capped = { ...METRICS, accuracy: metric("accuracy", { type: "mean", cap: { quantile: 0.99 } }) };
	const late = planInputOf(experiment(["b"], { rollout: { ...ROLLOUT, inference } }), capped, facts, ASSUMED);
	t.match(
		late.unknown.join("; "),
		/when the cap of accuracy is frozen, from the baseline's first 459 values of 200 people/,
	);
	const bandit = { algorithm: "thompson", floorPpm: 50_000, everyMs: 3_600_000 } as const;
	const moved = planInputOf(experiment(["b"], { rollout: { ...ROLLOUT, bandit } }), METRICS, facts, ASSUMED);
	t.same(moved.input?.traffic?.core, { share: 0.05, days: 1 / 24 });
	t.end();
});

t.test("the plan takes the baseline's levels and the Service's traffic from the experiment's evidence", (t) => {
	const { experiment: declared, metrics, evidence, decisions } = reportInput(MEASURING);
	const facts = planEvidenceOf(declared, metrics, evidence as Evidence, decisions);
	const own = (evidence as Evidence).arms.find(({ arm }) => arm === "control")?.metrics.accuracy;
	t.equal(facts.baselines.accuracy?.mean, own?.mean);
	const spread = (own?.m2 ?? 0) / ((own?.n ?? 2) - 1);
	t.ok(Math.abs((facts.baselines.accuracy?.variance ?? 0) - spread) < 1e-12);
	t.equal(facts.baselines.accuracy?.farthest, undefined, "without extremes it is unknown");
	const reaching = (evidence as Evidence).arms.map((arm) => {
		const { accuracy } = arm.metrics;
		if (accuracy === undefined) return arm;
		return { ...arm, metrics: { accuracy: { ...accuracy, extremes: [{ lo: 0, hi: 1 }] } } };
	});
	const known = planEvidenceOf(declared, metrics, { ...(evidence as Evidence), arms: reaching }, decisions).baselines
		.accuracy;
	const mean = own?.mean ?? 0;
	t.ok(Math.abs((known?.farthest ?? 0) - Math.max(mean, 1 - mean)) < 1e-12, `${known?.farthest} from ${mean}`);
	// The story exposes a share of 1,400 a day at every step, within 3 %.
	t.equal(facts.traffic?.newUnitsPerDay.length, MEASURING.days);
	t.ok(Math.abs((facts.traffic?.newUnitsPerDay[0] ?? 0) - MEASURING.peoplePerDay) < 0.05 * MEASURING.peoplePerDay);
	const { input } = planInputOf(declared, metrics, facts, ASSUMED);
	t.ok((input === null ? null : planOf(input))?.metrics.every(({ sentence }) => sentence.length > 20));
	t.end();
});

t.test("a run of hours gives a flat pace with a note; flags take precedence over evidence", (t) => {
	const short = reportInput({ ...MEASURING, days: 1 }, DECLARED);
	const facts = planEvidenceOf(short.experiment, short.metrics, short.evidence as Evidence, short.decisions);
	t.equal(facts.traffic?.newUnitsPerDay.length, 1);
	t.match(facts.traffic?.from, /24 hours, as if its pace held/);
	const flags = { baselines: { accuracy: known(0.5) }, traffic: null };
	const both = mergePlanEvidence([flags, facts]);
	t.equal(both.baselines.accuracy?.mean, 0.5);
	t.equal(both.baselines["error-rate"]?.mean, facts.baselines["error-rate"]?.mean);
	t.equal(both.traffic, facts.traffic);
	t.end();
});
