import t from "tap";
import { type PlanInput, type PlanMetric, type PlanTraffic, planOf } from "../../../src/analysis/planning/plan.js";

const goal: PlanMetric = {
	name: "accuracy",
	role: "goal",
	kind: "rate",
	direction: "up",
	baselineMean: 0.78,
	variance: 0,
	relative: false,
	line: 0.005,
	effect: 0.05,
};

const traffic: PlanTraffic = {
	newUnitsPerDay: [5_000, 3_000, 2_500, 2_200, 2_000, 1_900, 1_800],
	slotShare: 1,
	steps: [0.1, 0.5, 1],
	stepDays: 0.1,
	stepUnits: 200,
	matureDays: 0.5,
	horizonDays: 28,
};

const input: PlanInput = {
	metrics: [
		goal,
		{
			name: "error-rate",
			role: "guardrail",
			kind: "failure",
			direction: "down",
			baselineMean: 0.001,
			variance: 0,
			relative: false,
			line: 0.005,
			effect: 0,
		},
		{
			name: "revenue",
			role: "guardrail",
			kind: "mean",
			direction: "up",
			baselineMean: 20,
			variance: 400,
			relative: true,
			line: 0.1,
			effect: 0,
		},
	],
	weights: [1, 1],
	alpha: 0.05,
	power: 0.8,
	traffic,
};

t.test("a whole plan: level, steps, units, days, what is found, and a sentence for each", async (t) => {
	const plan = planOf(input);
	t.equal(plan.alphaEach, 0.05, "an arm is promoted when all of its claims are proved: they share nothing");
	t.equal(plan.steps.length, 3);
	for (const metric of plan.metrics) {
		t.comment(metric.sentence);
		t.ok((metric.median.units ?? 0) < (metric.atPower.units ?? 0), metric.name);
		t.ok((metric.median.day ?? 0) <= (metric.atPower.day ?? 0));
		t.ok((metric.fixedUnits ?? 0) < (metric.atPower.units ?? 0), "one look costs less than all");
		t.ok((metric.atPower.day ?? 0) <= (plan.decisionDay ?? 0));
		t.match(metric.sentence, new RegExp(metric.name));
	}
	t.ok((plan.decisionDay ?? 0) >= (plan.steps[2]?.startDay ?? 99), "promotion is at the last step");
	t.match(
		plan.metrics[0]?.sentence ?? "",
		/^If accuracy really improves by 5 pp, proving more than 0.5 pp takes \d,\d{3} units/,
	);
	t.match(
		plan.metrics[1]?.sentence ?? "",
		/^If error-rate really stays the same, proving that it worsens by less than 0.5 pp/,
	);
	t.match(plan.metrics[2]?.sentence ?? "", /within 28 days a margin of at least [\d.]+ % can be proved\.$/);
	t.same(planOf(input), plan, "the same numbers, the same plan");
});

t.test("three arms share alpha, and the smallest challenger is the last to know", async (t) => {
	const plan = planOf({ ...input, weights: [2, 2, 1] });
	t.equal(plan.alphaEach, 0.05 / 2);
	const units = (weights: readonly number[]): number => planOf({ ...input, weights }).metrics[0]?.atPower.units ?? 0;
	t.ok(units([2, 2, 1]) > units([2, 2, 2]));
	t.ok((plan.horizonUnits ?? 0) < (planOf(input).horizonUnits ?? 0), "a pair has three fifths of the units");
});

t.test("without traffic: units, no days", async (t) => {
	const plan = planOf({ ...input, traffic: null });
	t.match(plan, { horizonUnits: null, decisionDay: null, steps: [] });
	for (const metric of plan.metrics) {
		t.equal(metric.atPower.day, null);
		t.equal(metric.detectable, null);
		t.notMatch(metric.sentence, /day/);
	}
});

t.test("what cannot be found, or not in time, is said", async (t) => {
	const never = planOf({ ...input, metrics: [{ ...goal, effect: 0.005 }] });
	t.match(never.metrics[0], { atPower: { units: null, day: null }, fixedUnits: null });
	t.match(never.metrics[0]?.sentence ?? "", /is not possible; within 28 days an improvement of at least/);
	t.equal(never.decisionDay, null);
	const dry = planOf({ ...input, traffic: { ...traffic, newUnitsPerDay: [3_000, 0, 0, 0] } });
	t.match(dry.metrics[0]?.sentence ?? "", /more than this traffic ever brings/);
	t.equal(dry.decisionDay, null);
});

t.test("numbers that no experiment has are refused", async (t) => {
	for (const bad of [
		{ alpha: 0 },
		{ alpha: Number.NaN },
		{ power: 1 },
		{ weights: [1] },
		{ weights: [0, 1] },
		{ weights: [1, 0] },
		{ weights: [1, -1] },
		{ metrics: [{ ...goal, baselineMean: 1.2 }] },
		{ metrics: [{ ...goal, effect: Number.NaN }] },
		{ metrics: [{ ...goal, kind: "mean", variance: 0 }] },
		{ traffic: { ...traffic, newUnitsPerDay: [] } },
		{ traffic: { ...traffic, newUnitsPerDay: [-1] } },
		{ traffic: { ...traffic, steps: [0.5, 0.5] } },
		{ traffic: { ...traffic, slotShare: 0 } },
	] as const satisfies readonly Partial<PlanInput>[])
		t.throws(() => planOf({ ...input, ...bad }), RangeError, JSON.stringify(bad));
});
