/** The mean of two e-values: its cost, its bounds, and its error within alpha. */
import t from "tap";
import { isNoEstimate } from "../../../../src/infer/statistics/estimators/estimate.js";
import { averagedTest, type LineTest } from "../../../../src/infer/statistics/sequential/averagedTest.js";
import { differenceBounds } from "../../../../src/infer/statistics/sequential/bernoulliBounds.js";
import { logEvidence, PRIOR_RATE } from "../../../../src/infer/statistics/sequential/bernoulliMixture.js";
import {
	bettingDifferenceBounds,
	differenceLine,
	logBettingEvidence,
} from "../../../../src/infer/statistics/sequential/betting.js";
import {
	type LogCapital,
	logCapitalOf,
	mergeLogCapital,
	NO_CAPITAL,
} from "../../../../src/infer/statistics/statistics/logCapital.js";
import { random } from "../random.js";

interface Arm {
	readonly sum: number;
	readonly capital: LogCapital;
}

const mixture = (a: Arm, b: Arm): LineTest => {
	const [x, y] = [a, b].map(({ sum, capital }) => ({ n: capital.n, sum })) as [never, never];
	return {
		logE: (side, line) => logEvidence(side, x, y, differenceLine(line), PRIOR_RATE),
		bounds: (lower, upper) => differenceBounds(x, y, lower, PRIOR_RATE, undefined, upper),
	};
};

const betting = (a: Arm, b: Arm): LineTest => ({
	logE: (side, line) => Number(logBettingEvidence(side, a.capital, b.capital, differenceLine(line))),
	bounds: (lower, upper) => {
		const bounds = bettingDifferenceBounds(a.capital, b.capital, lower, upper);
		if (isNoEstimate(bounds)) throw new Error(bounds.reason);
		return bounds;
	},
});

const armOf = (values: readonly number[]): Arm => ({
	sum: values.reduce((sum, value) => sum + value, 0),
	capital: logCapitalOf(values),
});

t.test("the averaged test is at most ln 2 below the better one, with bounds between those of both", async (t) => {
	const next = random(5);
	for (let run = 0; run < 30; run++) {
		const spread = run % 3 === 0 ? 0.5 : 0.5 * next();
		const arm = (): Arm => {
			const mean = spread + (1 - 2 * spread) * next();
			const n = Math.ceil(4 * 400 ** next());
			return armOf(
				Array.from({ length: n }, () => (run % 3 === 0 ? Math.round(next()) : mean + spread * (2 * next() - 1))),
			);
		};
		const [a, b] = [arm(), arm()];
		const [one, other] = [mixture(a, b), betting(a, b)];
		const both = averagedTest(one, other);
		for (const side of ["above", "below"] as const)
			for (const line of [-0.4, -0.01, 0, 0.2]) {
				const better = Math.max(one.logE(side, line), other.logE(side, line));
				const found = both.logE(side, line);
				if (!(found <= better + 1e-12 && found >= better - Math.LN2 - 1e-12)) t.fail(`${found} ${better}`);
			}
		const { lower, upper } = both.bounds(0.05, 0.01);
		const above = (x: number): number => both.logE("above", x) + Math.log(0.05);
		const below = (x: number): number => both.logE("below", x) + Math.log(0.01);
		if (lower > -1) t.ok(above(lower) >= 0 && above(lower + 1e-8) < 0, `lower ${lower}: ${above(lower)}`);
		if (upper < 1) t.ok(below(upper) >= 0 && below(upper - 1e-8) < 0, `upper ${upper}: ${below(upper)}`);
		const [whole, half] = [
			[one, other].map((test) => test.bounds(0.05, 0.01)),
			[one, other].map((test) => test.bounds(0.025, 0.005)),
		];
		t.ok(lower <= Math.max(...whole.map((each) => each.lower)) + 1e-8);
		t.ok(lower >= Math.max(...half.map((each) => each.lower)) - 1e-8);
	}
	const nothing = { sum: 0, capital: NO_CAPITAL };
	t.match(averagedTest(mixture(nothing, nothing), betting(nothing, nothing)).bounds(0.05, 0.05), {
		lower: -1,
		upper: 1,
	});
});

t.test("the averaged test needs at most 12 % more units than the better of its two tests", async (t) => {
	const units = (values: readonly number[], test: (arm: Arm) => LineTest): number => {
		const one = armOf(values);
		const times = (n: number): Arm => {
			const k = n / values.length;
			const scale = (sums: readonly number[]): number[] => sums.map((sum) => sum * k);
			const { bets, up, down } = one.capital;
			return { sum: one.sum * k, capital: { bets, n, up: scale(up), down: scale(down) } };
		};
		let [low, high] = [0, 2 ** 17];
		while (high - low > 1) {
			const middle = Math.floor((low + high) / 2);
			if (test(times(middle)).logE("above", -0.01) >= Math.log(60)) high = middle;
			else low = middle;
		}
		return high;
	};
	const coins = Array.from({ length: 10 }, (_, index) => (index < 9 ? 1 : 0));
	const quiet = Array.from({ length: 200 }, (_, index) => 0.9 + 0.1 * (2 * ((index + 0.5) / 200) - 1));
	const both = (arm: Arm): LineTest => averagedTest(mixture(arm, arm), betting(arm, arm));
	const [ofCoins, ofQuiet] = [units(coins, both), units(quiet, both)];
	const [byMixture, byBetting] = [units(coins, (arm) => mixture(arm, arm)), units(quiet, (arm) => betting(arm, arm))];
	t.comment(`coins ${ofCoins} of ${byMixture}, quiet ${ofQuiet} of ${byBetting}`);
	t.ok(ofCoins <= 1.1 * byMixture, `${ofCoins} ${byMixture}`);
	t.ok(ofQuiet <= 1.12 * byBetting, `${ofQuiet} ${byBetting}`);
});

t.test("the averaged test, checked repeatedly on the line, errs in at most alpha of the runs", async (t) => {
	const next = random(17);
	const [runs, alpha] = [300, 0.1];
	let alarms = 0;
	for (let run = 0; run < runs; run++) {
		let [a, b] = [armOf([]), armOf([])];
		let alarmed = false;
		for (let look = 0; look < 10 && !alarmed; look++) {
			const draw = (arm: Arm): Arm => {
				const more = armOf(Array.from({ length: 20 }, () => (run % 2 === 0 ? next() : next() ** 4)));
				return { sum: arm.sum + more.sum, capital: mergeLogCapital(arm.capital, more.capital) };
			};
			[a, b] = [draw(a), draw(b)];
			alarmed = averagedTest(mixture(a, b), betting(a, b)).logE("above", 0) >= -Math.log(alpha);
		}
		alarms += Number(alarmed);
	}
	// Binomial(300, 0.1) exceeds 47 with probability 1e-3.
	t.ok(alarms <= 47, `${alarms}`);
	t.comment(`${alarms} of ${runs}`);
});
