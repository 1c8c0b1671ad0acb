import t from "tap";
import { type PlanInput, type PlanTraffic, planOf } from "../../../src/infer/planning/plan.js";
import { ACCURACY, CLICKS, ERRORS, FASTER, REVENUE, relative, SLOW, STARS, WAIT } from "./examples.js";

const traffic: PlanTraffic = {
	newUnitsPerDay: [5_000, 3_000, 2_500, 2_200, 2_000, 1_900, 1_800],
	slotShare: 1,
	steps: [0.1, 0.5, 1],
	stepDays: 0.1,
	stepUnits: 200,
	matureDays: 0.5,
	horizonDays: 28,
	core: null,
};

const input: PlanInput = {
	metrics: [ACCURACY, ERRORS, REVENUE],
	design: { design: "sequential" },
	weights: [1, 1],
	alpha: 0.05,
	power: 0.8,
	traffic,
};

t.test("a plan has its level, steps, units, days and detectable effects, each with a sentence", async (t) => {
	const plan = planOf(input);
	t.equal(plan.alphaEach, 0.05, "an arm is promoted when all of its claims are proved: they share nothing");
	t.equal(plan.steps.length, 3);
	for (const metric of plan.metrics) {
		t.ok((metric.median.units ?? 0) < (metric.atPower.units ?? 0), metric.name);
		t.ok((metric.median.day ?? 0) <= (metric.atPower.day ?? 0));
		t.ok((metric.fixedUnits ?? 0) < (metric.atPower.units ?? 0), "one look costs less than all");
		t.ok((metric.atPower.day ?? 0) <= (plan.decisionDay ?? 0));
	}
	t.ok((plan.decisionDay ?? 0) >= (plan.steps[2]?.startDay ?? 99), "a promotion is possible at the last step");
	t.same(planOf(input), plan, "the same numbers, the same plan");
});

/** Replaces numbers by #, so that only the text is compared. */
const words = (change: Partial<PlanInput>): readonly string[] =>
	planOf({ ...input, ...change }).metrics.map(({ sentence }) => sentence.replace(/\d+(,\d{3})*(\.\d+)?/g, "#"));

t.test("a plan has a sentence for each metric type, in both directions", async (t) => {
	const all = words({ metrics: [ACCURACY, ERRORS, REVENUE, WAIT, STARS, CLICKS, SLOW, FASTER] });
	const known = { ...ACCURACY, effect: relative(0), believed: 0.1 };
	const metrics = [
		known,
		{ ...REVENUE, believed: -0.02 },
		...[0.005, 0.3].map((believed) => ({ ...ACCURACY, believed })),
	];
	for (const [at, fact] of [
		/^accuracy: by day #, # people show with #% probability that it rises by more than # points\.$/,
		/^error-rate: .* it does not rise by # points or more\.$/,
		/^revenue: .* it does not fall by #% or more\.$/,
		/^wait: .* it falls by more than # ms\.$/,
		/^stars: .* it rises by more than #\.$/,
		/^clicks-per-request: .* it does not fall by # or more\.$/,
		/^latency-p#: .* at most #% of requests are slower than the baseline's p# plus #%\.$/,
		/^latency-p#: .* fewer than #% of requests are slower than the baseline's p# less #%\.$/,
		/^accuracy: # people show with #% probability that it rises\.$/,
		/^revenue: .* it does not fall by #% or more\.$/,
		/^accuracy: no number of people can show .* no larger than the target\.$/,
		/^accuracy: no number of people can show .* it cannot move so far\.$/,
	].entries())
		t.match([...all, ...words({ traffic: null, metrics })][at], fact);
});

t.test("each planned look has its day, power, declaration and detectable effect", async (t) => {
	const design = { design: "group-sequential", looks: 3, units: 3_000, spending: "pocock" } as const;
	const plan = planOf({ ...input, design });
	const [goal, errors] = plan.metrics;
	t.match(goal, { method: "planned-looks", looks: { by: "normal law", looks: { length: 3 } } });
	t.match(errors, { method: "bernoulli-mixture", looks: null }, "guardrails are watched at every moment");
	const each = goal?.looks?.looks ?? [];
	t.same(
		each.map(({ units }) => units),
		[1_000, 2_000, 3_000],
	);
	t.ok(
		each.every(
			({ day, proved }, k) => k === 0 || ((day ?? 0) > (each[k - 1]?.day ?? 0) && proved > (each[k - 1]?.proved ?? 1)),
		),
	);
	const first = each.find(({ proved }) => proved >= 0.8);
	t.same(goal?.atPower, { units: first?.units, day: first?.day });
	t.match(words({ design })[0], /by day #, # people show .*; on average # are enough\. For #% write units: #\.$/);
	const single = words({ design: { design: "fixed-horizon", units: 3_000 }, traffic: null })[0];
	t.match(single, /^accuracy: # people show .* more than # points\. For #% write units: #\.$/);
	const few = planOf({ ...input, design: { design: "fixed-horizon", units: 200 } });
	t.match(few.metrics[0], { atPower: { units: null, day: null }, median: { units: null } });
	t.equal(few.decisionDay, null, "undetected effects are not expected");
});

t.test("a bandit's plan counts only the core once shares may move", async (t) => {
	const plain = planOf(input);
	const moved = planOf({ ...input, traffic: { ...traffic, core: { share: 0.1, days: 0.5 } } });
	t.equal(plain.coreFromDay, null);
	t.ok((moved.coreFromDay ?? 0) >= (moved.steps[2]?.startDay ?? 99) + 0.5);
	for (const [index, metric] of moved.metrics.entries()) {
		t.equal(metric.atPower.units, plain.metrics[index]?.atPower.units, "as many units");
		t.ok((metric.atPower.day ?? 0) > (plain.metrics[index]?.atPower.day ?? 99), `${metric.name}: later`);
	}
	t.ok((moved.horizonUnits ?? 0) < 0.5 * (plain.horizonUnits ?? 0));
	const whole = planOf({ ...input, traffic: { ...traffic, core: { share: 1, days: 0.5 } } });
	t.equal(whole.horizonUnits, plain.horizonUnits, "a core of all units changes nothing");
});

t.test("three arms share alpha, and the smallest challenger needs the longest", async (t) => {
	const plan = planOf({ ...input, weights: [2, 2, 1] });
	t.equal(plan.alphaEach, 0.05 / 2);
	const units = (weights: readonly number[]): number => planOf({ ...input, weights }).metrics[0]?.atPower.units ?? 0;
	t.ok(units([2, 2, 1]) > units([2, 2, 2]));
	t.ok((plan.horizonUnits ?? 0) < (planOf(input).horizonUnits ?? 0), "a pair has three fifths of the units");
});

t.test("without traffic a plan has units and no days", async (t) => {
	const plan = planOf({ ...input, traffic: null });
	t.match(plan, { horizonUnits: null, decisionDay: null, steps: [] });
	for (const metric of plan.metrics) {
		t.equal(metric.atPower.day, null);
		t.equal(metric.detectable, null);
		t.notMatch(metric.sentence, /day/);
	}
});

t.test("a plan names effects that cannot be found, or not with this traffic", async (t) => {
	const never = planOf({ ...input, metrics: [{ ...ACCURACY, believed: 0.005 }] });
	t.match(never.metrics[0], { atPower: { units: null, day: null }, fixedUnits: null });
	t.equal(never.decisionDay, null);
	const dry = planOf({ ...input, traffic: { ...traffic, newUnitsPerDay: [3_000, 0, 0, 0] } });
	t.match(dry.metrics[0]?.sentence ?? "", /; so many never come at this traffic\.$/);
	t.equal(dry.decisionDay, null);
});

t.test("a range without a spread is planned for the largest variance", async (t) => {
	const [known, unknown, coins] = planOf({
		...input,
		metrics: [STARS, { ...STARS, variance: null }, { ...STARS, variance: 3.1 * 0.9 }],
	}).metrics.map(({ atPower }) => atPower.units ?? 0);
	t.ok((known ?? 0) < 0.5 * (unknown ?? 0), `${known} against ${unknown}`);
	t.ok((coins ?? 0) <= (unknown ?? 0), "no distribution needs more");
});

t.test("impossible numbers are refused", async (t) => {
	for (const bad of [
		{ alpha: 0 },
		{ alpha: Number.NaN },
		{ power: 1 },
		{ weights: [1] },
		{ weights: [0, 1] },
		{ weights: [1, 0] },
		{ weights: [1, -1] },
		{ metrics: [{ ...ACCURACY, baselineMean: 1.2 }] },
		{ metrics: [{ ...STARS, baselineMean: 0.9 }] },
		{ metrics: [{ ...ACCURACY, believed: Number.NaN }] },
		{ metrics: [{ ...REVENUE, variance: 0 }] },
		{ metrics: [{ ...REVENUE, variance: null }] },
		{ traffic: { ...traffic, newUnitsPerDay: [] } },
		{ traffic: { ...traffic, newUnitsPerDay: [-1] } },
		{ traffic: { ...traffic, steps: [0.5, 0.5] } },
		{ traffic: { ...traffic, slotShare: 0 } },
	] as const satisfies readonly Partial<PlanInput>[])
		t.throws(() => planOf({ ...input, ...bad }), RangeError, JSON.stringify(bad));
});
