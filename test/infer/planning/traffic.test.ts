import t from "tap";
import {
	countedUnits,
	dayOfUnits,
	distinctUnits,
	exposedUnits,
	observedCurve,
	stepsOf,
} from "../../../src/infer/planning/traffic.js";
import { random } from "../statistics/random.js";

/** People with very different habits, 10 a day new to the service: new units of 60 days, and when each person comes. */
function population(
	seed: number,
	people: number,
): { readonly daily: number[]; readonly visits: readonly (readonly number[])[] } {
	const next = random(seed);
	const daily = new Array<number>(60).fill(0);
	const visits = Array.from({ length: people }, () => {
		const chance = 0.01 + 0.9 * next() ** 6;
		const days: number[] = [];
		for (let day = 0; day < 60; day++) if (next() < chance) days.push(day);
		const [first] = days;
		if (first !== undefined) daily[first] = (daily[first] ?? 0) + 1;
		return days;
	});
	return { daily, visits };
}

t.test("the curve of new units extrapolates simulated habits from two weeks to eight", async (t) => {
	const { daily } = population(1, 20_000);
	const truth = daily.reduce((sum, units) => sum + units, 0);
	const seen = distinctUnits(daily.slice(0, 14), 60);
	const straight = distinctUnits(daily.slice(0, 14), 14) + 46 * (daily[13] ?? 0);
	t.comment(`60 days: ${truth}, from 14 days ${seen.toFixed(0)}, by the last day's rate ${straight}`);
	t.ok(Math.abs(seen / truth - 1) < 0.15);
	t.ok(straight / truth > 1.25, "which a constant rate overstates");
});

t.test("a step's units are a sample with its own curve", async (t) => {
	const { daily, visits } = population(2, 20_000);
	const next = random(5);
	const steps = [
		{ share: 0.1, startDay: 0 },
		{ share: 0.4, startDay: 10 },
		{ share: 1, startDay: 20 },
	];
	let exposed = 0;
	for (const days of visits) {
		const point = next();
		const start = steps.find(({ share }) => point < share)?.startDay ?? 99;
		if (days.some((day) => day >= start && day < 40)) exposed++;
	}
	const seen = exposedUnits(daily, steps, 40);
	t.comment(`exposed within 40 days: ${exposed}, planned ${seen.toFixed(0)}`);
	t.ok(Math.abs(seen / exposed - 1) < 0.03);
});

t.test("once a bandit moves, its core counts, and of other units those with earlier values", async (t) => {
	const { daily, visits } = population(3, 20_000);
	const next = random(6);
	const steps = [
		{ share: 0.2, startDay: 0 },
		{ share: 0.8, startDay: 8 },
	];
	const core = { share: 0.1 * 0.8, fromDay: 14 };
	const matureDays = 2;
	let counted = 0;
	for (const days of visits) {
		const point = next();
		const start = steps.find(({ share }) => point < share)?.startDay ?? 99;
		const first = days.find((day) => day >= start);
		// All units of a day have arrived at its end.
		if (first === undefined) continue;
		const due = first + 1 + matureDays;
		if (due <= 40 && (point < core.share || due <= core.fromDay)) counted++;
	}
	const seen = countedUnits(daily, steps, 40, matureDays, core);
	t.comment(`counted by day 40: ${counted}, planned ${seen.toFixed(0)}`);
	t.ok(Math.abs(seen / counted - 1) < 0.03);
	t.equal(countedUnits(daily, steps, 14, matureDays, core), exposedUnits(daily, steps, 12), "until then all count");
	t.ok(countedUnits(daily, steps, 40, matureDays, null) > 1.2 * seen);
});

t.test("days and units are inverse to each other; unreachable ones are null", async (t) => {
	const curve = [1_000, 600, 500, 450, 420, 400, 390];
	const steps = [{ share: 0.5, startDay: 0 }];
	for (const units of [1, 250, 1_000, 5_000]) {
		const day = dayOfUnits(curve, steps, units) ?? 0;
		t.ok(exposedUnits(curve, steps, day) >= units);
		t.ok(exposedUnits(curve, steps, day - 0.02) < units);
	}
	t.equal(dayOfUnits([100, 0, 0, 0, 0, 0], steps, 51), null);
	t.equal(distinctUnits([100], 3), 300, "one day shows no decline");
	t.equal(distinctUnits([100, 200, 300, 400], 5), 1_350, "a rise is not drawn on: 350 is the later half's mean");
	t.equal(distinctUnits([100], 0.5), 50);
});

t.test("steps wait for their time, their units and maturing units", async (t) => {
	const curve = [1_000];
	t.same(
		stepsOf(curve, [0.1, 0.5, 1], 50, 1, 0).map(({ startDay }) => startDay),
		[0, 1, 2],
	);
	const slow = stepsOf(curve, [0.1, 1], 200, 1, 0.5);
	t.ok(Math.abs((slow[1]?.startDay ?? 0) - 2.5) < 0.02, "200 units at a tenth of 1,000 a day, half a day to mature");
	t.equal(stepsOf([10, 0, 0, 0], [0.1, 1], 200, 1, 0).length, 1, "a step that is never reached");
});

t.test("the curve is recovered from exposures under its steps", (t) => {
	const curve = [9_000, 6_200, 5_100, 4_300, 3_900, 3_500, 3_300];
	const steps = [
		{ share: 0.1, startDay: 0 },
		{ share: 0.3, startDay: 1.25 },
		{ share: 0.5, startDay: 4 },
	];
	const days = curve.length;
	const until = Array.from({ length: days }, (_, day): [number, number] => [
		day + 1,
		exposedUnits(curve, steps, day + 1),
	]);
	const read = observedCurve(until, steps, days) ?? [];
	t.equal(read.length, days);
	for (const [day, units] of curve.entries()) t.ok(Math.abs((read[day] ?? 0) - units) < 1e-6 * units, `day ${day}`);
	t.equal(observedCurve(until, steps, 1.9), null, "one whole day is no curve");
	t.equal(observedCurve([], steps, 5), null);
	t.ok(
		(
			observedCurve(
				until.map(([day]) => [day, 10]),
				steps,
				days,
			) ?? []
		).every((units) => units >= 0),
		"never negative",
	);
	t.end();
});
