import t from "tap";
import { betaQuantile } from "../../../../src/infer/statistics/distributions/beta.js";
import { isNoEstimate } from "../../../../src/infer/statistics/estimators/estimate.js";
import { logEvidence, PRIOR_RATE } from "../../../../src/infer/statistics/sequential/bernoulliMixture.js";
import {
	bettingDifferenceBounds,
	bettingRatioBounds,
	logBettingEvidence,
	logMeanEvidence,
	meanBounds,
} from "../../../../src/infer/statistics/sequential/betting.js";
import {
	BETS,
	type LogCapital,
	logCapitalOf,
	mergeLogCapital,
	NO_CAPITAL,
	problemOfCapital,
} from "../../../../src/infer/statistics/statistics/logCapital.js";
import { random } from "../random.js";

const DIFFERENCE = { slope: 1, offset: 0 };

const value = (result: number | { reason: string }): number => {
	if (typeof result !== "number") throw new Error(result.reason);
	return result;
};

/** Sums of `n` units with the distribution of these values. */
const scaled = (capital: LogCapital, n: number): LogCapital => ({
	...capital,
	n,
	up: capital.up.map((sum) => (sum * n) / capital.n),
	down: capital.down.map((sum) => (sum * n) / capital.n),
});

/** 2,000 quantiles of the beta law with this mean and standard deviation; coins where that is the largest possible. */
function scores(mean: number, sd: number): LogCapital {
	const share = (mean * (1 - mean)) / (sd * sd) - 1;
	if (share < 0.1) return logCapitalOf(Array.from({ length: 1000 }, (_, index) => (index < 1000 * mean ? 1 : 0)));
	const values = Array.from({ length: 2000 }, (_, index) =>
		betaQuantile((index + 0.5) / 2000, mean * share, (1 - mean) * share),
	);
	const off = mean - values.reduce((sum, x) => sum + x, 0) / values.length;
	return logCapitalOf(values.map((x) => Math.min(1, Math.max(0, x + off))));
}

t.test("one unit's betting capital has mean at most 1 under every distribution of the null", async (t) => {
	let most = 0;
	for (const m of [0.001, 0.2, 0.9])
		for (const middle of [0.1, 0.5, 0.8])
			for (const weight of [0, 0.3, 0.9]) {
				// A law on 0, `middle` and 1 with mean m, and one with a smaller mean.
				const one = m - weight * middle;
				if (one < 0 || weight + one > 1) continue;
				const e = (x: number): number => Math.exp(value(logMeanEvidence("above", logCapitalOf([x]), m)));
				const mean = (shift: number): number =>
					(1 - weight - one + shift) * e(0) + weight * e(middle) + (one - shift) * e(1);
				most = Math.max(most, mean(0), mean(one / 2));
				const mirrored = Math.exp(value(logMeanEvidence("below", logCapitalOf([1 - middle]), 1 - m)));
				t.ok(Math.abs(mirrored - e(middle)) < 1e-12, "bets below are bets above on 1 − x");
			}
	t.ok(most <= 1 + 1e-12 && most > 0.999, `${most}`);
});

t.test("log-capital sums merge exactly, and impossible ones are detected", async (t) => {
	const next = random(3);
	const values = Array.from({ length: 50 }, () => next());
	const whole = logCapitalOf(values);
	const merged = mergeLogCapital(logCapitalOf(values.slice(0, 20)), logCapitalOf(values.slice(20)));
	t.ok(whole.up.every((sum, index) => Math.abs(sum - (merged.up[index] ?? 0)) < 1e-12));
	t.same(mergeLogCapital(NO_CAPITAL, whole), whole);
	t.same(JSON.parse(JSON.stringify(whole)), whole);
	t.throws(() => mergeLogCapital(whole, { ...whole, bets: "other" }), /cannot be added/);
	for (const bad of [
		logCapitalOf([0.5, 1.2]),
		logCapitalOf([Number.NaN]),
		logCapitalOf([-1e-9]),
		{ ...whole, n: -1 },
		{ ...whole, n: Number.NaN },
		{ ...whole, n: 3 },
		{ ...whole, bets: "other" },
		{ ...whole, up: [1] },
		{ ...whole, down: whole.down.map(() => Number.POSITIVE_INFINITY) },
	]) {
		t.not(problemOfCapital(bad), "", JSON.stringify(bad).slice(0, 80));
		t.ok(isNoEstimate(Object(meanBounds(bad, 0.05))));
		t.ok(isNoEstimate(Object(bettingDifferenceBounds(whole, bad, 0.05))));
		t.type(logBettingEvidence("above", bad, whole, DIFFERENCE), "object");
		t.type(logMeanEvidence("below", bad, 0.5), "object");
	}
	t.ok(isNoEstimate(Object(meanBounds(whole, Number.NaN))));
	t.type(logMeanEvidence("above", whole, 1.5), "object");
});

t.test("betting without data gives the whole interval and no evidence", async (t) => {
	t.same(meanBounds(NO_CAPITAL, 0.05), { lower: 0, upper: 1 });
	t.same(bettingDifferenceBounds(NO_CAPITAL, NO_CAPITAL, 0.05), { lower: -1, upper: 1 });
	t.equal(value(logBettingEvidence("above", NO_CAPITAL, NO_CAPITAL, DIFFERENCE)), 0);
	t.equal(
		value(logBettingEvidence("above", NO_CAPITAL, NO_CAPITAL, { slope: 1, offset: -1.5 })),
		Number.POSITIVE_INFINITY,
	);
	t.equal(value(logBettingEvidence("above", NO_CAPITAL, NO_CAPITAL, { slope: 1, offset: 1.5 })), 0);
	const one = scores(0.9, 0.1);
	const bounds = bettingDifferenceBounds(one, NO_CAPITAL, 0.05);
	t.ok(
		!isNoEstimate(bounds) && bounds.lower > -0.15 && bounds.lower < -0.1 && bounds.upper > 0.9,
		JSON.stringify(bounds),
	);
});

t.test("betting's infimum agrees with a scan, and its bounds have evidence 1/alpha", async (t) => {
	const next = random(8);
	for (let run = 0; run < 12; run++) {
		const arm = (): LogCapital => {
			const mean = next();
			const h = next() * Math.min(mean, 1 - mean);
			const values = Array.from({ length: Math.ceil(3 * 30 ** next()) }, () => mean + h * (2 * next() - 1));
			return scaled(logCapitalOf(values), Math.ceil(values.length * 10 ** (2 * next())));
		};
		const [a, b] = [arm(), arm()];
		for (const side of ["above", "below"] as const) {
			const other = side === "above" ? "below" : "above";
			let before = Number.POSITIVE_INFINITY;
			for (const offset of [-0.5, -0.1, 0, 0.1, 0.5].map((x) => (side === "above" ? x : -x))) {
				const found = value(logBettingEvidence(side, a, b, { slope: 1, offset }));
				let scanned = Number.POSITIVE_INFINITY;
				for (let step = 0; step <= 400; step++) {
					const pc = Math.max(0, -offset) + ((1 - Math.abs(offset)) * step) / 400;
					const pt = Math.min(1, Math.max(0, pc + offset));
					scanned = Math.min(scanned, value(logMeanEvidence(side, a, pt)) + value(logMeanEvidence(other, b, pc)));
				}
				if (!(found <= scanned + 1e-9 && found > scanned - 0.05 - 0.01 * Math.abs(scanned)))
					t.fail(`${side} ${offset}: ${found} against ${scanned}`);
				if (!(found <= before + 1e-9)) t.fail(`rises at ${offset}`);
				before = found;
			}
		}
		for (const alpha of [0.05, 0.001]) {
			const difference = bettingDifferenceBounds(a, b, alpha);
			const ratio = bettingRatioBounds(a, b, alpha);
			const mean = meanBounds(a, alpha);
			if (isNoEstimate(difference) || isNoEstimate(ratio) || isNoEstimate(mean)) throw new Error("reason");
			const bar = -Math.log(alpha);
			const at = (side: "above" | "below", x: number): number =>
				value(logBettingEvidence(side, a, b, { slope: 1, offset: x })) - bar;
			if (difference.lower > -1) t.ok(at("above", difference.lower) >= 0 && at("above", difference.lower + 2e-9) < 0);
			if (difference.upper < 1) t.ok(at("below", difference.upper) >= 0 && at("below", difference.upper - 2e-9) < 0);
			const atRatio = (side: "above" | "below", k: number): number =>
				value(logBettingEvidence(side, a, b, { slope: k, offset: 0 })) - bar;
			if (ratio.lower > 0) t.ok(atRatio("above", ratio.lower) >= 0 && atRatio("above", ratio.lower + 2e-9) < 1e-6);
			if (ratio.upper < 1000) t.ok(atRatio("below", ratio.upper) >= 0 && atRatio("below", ratio.upper - 2e-9) < 1e-6);
			if (mean.lower > 0) t.ok(value(logMeanEvidence("above", a, mean.lower)) >= bar);
			if (mean.upper < 1) t.ok(value(logMeanEvidence("below", a, mean.upper)) >= bar);
		}
	}
});

t.test("betting needs a third more units than the mixture for coins, far fewer for low variance", async (t) => {
	const unitsToProve = (proved: (n: number) => boolean): number => {
		let high = 2;
		while (!proved(high)) high *= 2;
		let low = high / 2;
		while (high - low > 1) {
			const middle = Math.floor((low + high) / 2);
			if (proved(middle)) high = middle;
			else low = middle;
		}
		return high;
	};
	const line = { slope: 1, offset: -0.01 };
	const bernoulli = unitsToProve((n) => {
		const arm = { n, sum: 0.9 * n };
		return logEvidence("above", arm, arm, line, PRIOR_RATE) >= Math.log(60);
	});
	t.ok(bernoulli <= 24_750 && bernoulli > 24_000, `${bernoulli}`);
	for (const [sd, most] of [
		[0.3, 32_850],
		[0.2, 14_690],
		[0.1, 3_460],
		[0.05, 850],
	] as const) {
		const law = scores(0.9, sd);
		const units = unitsToProve(
			(n) => value(logBettingEvidence("above", scaled(law, n), scaled(law, n), line)) >= Math.log(60),
		);
		t.comment(`sd ${sd}: ${units} units, Bernoulli mixture ${bernoulli}`);
		t.ok(units <= most, `${units}`);
	}
});

t.test("betting at the margin errs in at most alpha of the runs with 20 looks", async (t) => {
	const next = random(21);
	const alpha = 0.1;
	const runs = 150;
	for (const spread of ["coin", "quiet", "skewed"] as const) {
		const draw = (mean: number): number => {
			if (spread === "coin") return next() < mean ? 1 : 0;
			if (spread === "quiet") return mean + 0.05 * (2 * next() - 1);
			// Mostly perfect scores and a tail: 1 − c·u⁴ has mean 1 − c/5.
			return 1 - 5 * (1 - mean) * next() ** 4;
		};
		let alarms = 0;
		for (let run = 0; run < runs; run++) {
			let [a, b] = [NO_CAPITAL, NO_CAPITAL];
			for (let look = 0; look < 20; look++) {
				// The null's edge: 0.83 is exactly 0.02 below 0.85.
				a = mergeLogCapital(a, logCapitalOf(Array.from({ length: 6 }, () => draw(0.83))));
				b = mergeLogCapital(b, logCapitalOf(Array.from({ length: 24 }, () => draw(0.85))));
				if (value(logBettingEvidence("above", a, b, { slope: 1, offset: -0.02 })) < -Math.log(alpha)) continue;
				alarms += 1;
				break;
			}
		}
		t.comment(`${spread}: ${alarms} of ${runs}`);
		// 26 of 150 lies 3 standard deviations above 10 %.
		t.ok(alarms <= 26, `${spread}: ${alarms}`);
	}
});

t.test("neighbouring bets differ by at most a factor of 2, from a thousandth to hundreds", async (t) => {
	for (const [index, bet] of BETS.entries()) if (index > 0) t.equal(bet / (BETS[index - 1] ?? 0), 2);
	t.ok((BETS[0] ?? 1) < 0.004 && (BETS.at(-1) ?? 0) > 200);
});
