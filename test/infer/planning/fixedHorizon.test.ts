import { readFileSync } from "node:fs";
import t from "tap";
import { type FixedHorizonDesign, fixedUnits } from "../../../src/infer/planning/fixedHorizon.js";
import { fixedPower } from "../statistics/formulas.js";

interface Row {
	readonly effect: number;
	readonly sd: number;
	/** Units of the second arm for one of the first. */
	readonly ratio: number;
	readonly alpha: number;
	readonly power: number;
	readonly sides: 1 | 2;
	readonly units: number;
	readonly powerAt100: number;
}

const rows = JSON.parse(readFileSync("test/fixtures/statistics/planning.json", "utf8")) as readonly Row[];

const near = (seen: number, truth: number, tolerance: number): boolean => Math.abs(seen / truth - 1) <= tolerance;

t.test("power and units equal statsmodels', for shares 1 to 4, one side and two, and unusual levels", async (t) => {
	for (const { effect, sd, ratio, alpha, power, sides, units, powerAt100 } of rows) {
		const design: FixedHorizonDesign = {
			alpha,
			sides,
			varianceT: sd * sd,
			varianceC: sd * sd,
			shareT: 1,
			shareC: ratio,
		};
		const name = JSON.stringify({ effect, ratio, alpha, sides });
		const seen = fixedUnits(design, effect, power);
		t.ok(near(seen, units, 1e-6), `${name}: ${seen} of ${units}, whose solver stops there`);
		t.ok(near(fixedPower(design, effect, 100 * (1 + ratio)), powerAt100, 1e-10), `${name}: power`);
		t.ok(near(fixedPower(design, effect, seen), power, 1e-10), `${name}: there and back`);
	}
});

/** G*Power's numbers, as published in the tests of spotify/confidence, which allow 0.5 % (1.5 % for the large effect). */
t.test("sample sizes of a fixed horizon agree with published ones of G*Power", async (t) => {
	const mean = { varianceT: 100, varianceC: 100, distance: 0.3 };
	const rate = (p: number, mde: number) => ({
		varianceT: (p + mde) * (1 - p - mde),
		varianceC: p * (1 - p),
		distance: mde,
	});
	const small = rate(0.34, 0.003);
	const published: readonly (readonly [
		string,
		{ varianceT: number; varianceC: number; distance: number },
		{ alpha?: number; power?: number },
		readonly number[],
		number,
		number,
	])[] = [
		["mean", mean, {}, [1, 1], 39_906, 0.005],
		["rate, small", small, {}, [1, 1], 897_348, 0.005],
		["rate, large and up", rate(0.34, 0.1), {}, [1, 1], 852, 0.01],
		["rate, large and down", rate(0.34, -0.1), {}, [1, 1], 738, 0.015],
		["alpha 14 %", small, { alpha: 0.14 }, [1, 1], 630_710, 0.005],
		["alpha 14 %, power 67 %", small, { alpha: 0.14, power: 0.67 }, [1, 1], 366_424, 0.005],
		["rate, a half and two quarters", small, {}, [2, 1, 1], 673_157 + 2 * 336_578, 0.005],
		["rate, thirds", small, {}, [1, 1, 1], 3 * 448_674, 0.005],
		["mean, a half and two quarters", mean, {}, [2, 1, 1], 29_929 + 2 * 14_965, 0.005],
		["mean, thirds", mean, {}, [1, 1, 1], 3 * 19_953, 0.005],
	];
	for (const [what, data, { alpha = 0.05, power = 0.85 }, arms, units, tolerance] of published) {
		const [shareC = 1, shareT = 1] = arms;
		const { varianceT, varianceC, distance } = data;
		const pair = fixedUnits({ alpha, sides: 2, varianceT, varianceC, shareT, shareC }, distance, power);
		const total = (pair * arms.reduce<number>((sum, arm) => sum + arm, 0)) / (shareC + shareT);
		t.ok(near(total, units, tolerance), `${what}: ${total} of ${units}`);
	}
});

t.test("power of a fixed horizon agrees with golden values of the one-tailed formula", async (t) => {
	const units = (varianceT: number, varianceC: number, distance: number): number =>
		fixedUnits({ alpha: 0.05, sides: 2, varianceT, varianceC, shareT: 1, shareC: 1 }, distance, 0.8) / 2;
	t.ok(near(units(100, 100, 0.3), 17_441.954965, 5e-6));
	t.ok(near(units(0.343 * 0.657, 0.34 * 0.66, 0.003), 392_226.834378, 5e-6));
});

t.test("a test needs a distance, and an invalid test is refused", async (t) => {
	const design: FixedHorizonDesign = { alpha: 0.05, sides: 1, varianceT: 1, varianceC: 1, shareT: 1, shareC: 1 };
	t.equal(fixedUnits(design, 0, 0.8), Number.POSITIVE_INFINITY);
	t.equal(fixedUnits(design, -1, 0.8), Number.POSITIVE_INFINITY);
	t.ok(near(fixedUnits({ ...design, sides: 2 }, -1, 0.8), fixedUnits({ ...design, sides: 2 }, 1, 0.8), 1e-14));
	for (const power of [0.05, 1, Number.NaN]) t.throws(() => fixedUnits(design, 1, power), RangeError);
	t.throws(() => fixedUnits({ ...design, alpha: 0 }, 1, 0.8), RangeError);
});
