/** Simulates Experiments until they prove their claim, and returns the units of both arms by then, in increasing order. */

import type { SequentialClaim } from "../../../src/infer/planning/sequential.js";
import { CENTRE, gridQuantiles, quantileInside } from "../../../src/infer/statistics/quantileGrid.js";
import { ASYMPCS_MIN_UNITS } from "../../../src/infer/statistics/sequential/asympCs.js";
import { logMean } from "../../../src/infer/statistics/sequential/averagedTest.js";
import { logEvidence, PRIOR_RARE, PRIOR_RATE } from "../../../src/infer/statistics/sequential/bernoulliMixture.js";
import { differenceLine, logBettingEvidence, ratioLine } from "../../../src/infer/statistics/sequential/betting.js";
import { BETS, BETS_NAME } from "../../../src/infer/statistics/statistics/logCapital.js";
import { contrastInterval } from "../statistics/formulas.js";
import { random } from "../statistics/random.js";

/** Units between looks, as a share of those already there. */
const LOOK = 0.04;

/** A score of five values: chances of each with a mean, tilted from `shape`. */
export function scoreLaw(shape: readonly number[], { lo, hi }: Range, mean: number): readonly number[] {
	const values = scores({ lo, hi });
	const chances = (tilt: number): number[] => {
		const weights = shape.map((weight, k) => weight * Math.exp(tilt * (values[k] ?? 0)));
		const total = weights.reduce((sum, weight) => sum + weight, 0);
		return weights.map((weight) => weight / total);
	};
	const meanAt = (tilt: number): number => chances(tilt).reduce((sum, p, k) => sum + p * (values[k] ?? 0), 0);
	let [low, high] = [-20, 20];
	for (let step = 0; step < 80; step++) {
		const middle = (low + high) / 2;
		if (meanAt(middle) < mean) low = middle;
		else high = middle;
	}
	return chances(low);
}

interface Range {
	readonly lo: number;
	readonly hi: number;
}

const scores = ({ lo, hi }: Range): number[] => Array.from({ length: 5 }, (_, k) => lo + ((hi - lo) * k) / 4);

/** Units until scores prove their claim by the mean of mixture and betting, as unitsUntilProof(). */
export function scoresUntilProof(
	claim: SequentialClaim & { readonly method: { readonly test: "betting" } },
	shape: readonly number[],
	effect: number,
	runs: number,
	most: number,
): readonly number[] {
	const { method, direction, relative, baselineMean, line, alpha, shares } = claim;
	const { range } = method;
	const sign = direction === "up" ? 1 : -1;
	const width = range.hi - range.lo;
	const laws = {
		t: scoreLaw(shape, range, baselineMean + sign * effect * (relative ? baselineMean : 1)),
		c: scoreLaw(shape, range, baselineMean),
	};
	const factors = scores(range).map((value) => {
		const x = (value - range.lo) / width;
		return { up: BETS.map((bet) => Math.log1p(bet * x)), down: BETS.map((bet) => Math.log1p(bet * (1 - x))) };
	});
	const capital = (counts: readonly number[]) => {
		const sums = (way: "up" | "down"): number[] =>
			BETS.map((_, bet) => counts.reduce((sum, count, k) => sum + count * (factors[k]?.[way][bet] ?? 0), 0));
		return { bets: BETS_NAME, n: counts.reduce((sum, count) => sum + count, 0), up: sums("up"), down: sums("down") };
	};
	const sample = (counts: readonly number[]) => ({
		n: counts.reduce((sum, count) => sum + count, 0),
		sum:
			counts.reduce((sum, count, k) => sum + count * ((scores(range)[k] ?? 0) - (relative ? 0 : range.lo)), 0) /
			(relative ? range.hi : width),
	});
	const side = sign === 1 ? "above" : "below";
	const chance = shares.challenger / (shares.challenger + shares.baseline);
	const found: number[] = [];
	for (let run = 0; run < runs; run++) {
		const next = random(70_000 + run);
		const counts = { t: [0, 0, 0, 0, 0], c: [0, 0, 0, 0, 0] };
		let look = 40;
		let proof = most;
		for (let n = 1; n <= most; n++) {
			const arm = next() < chance ? "t" : "c";
			let left = next();
			const value = laws[arm].findIndex((p) => {
				left -= p;
				return left < 0;
			});
			const place = value === -1 ? 4 : value;
			counts[arm][place] = (counts[arm][place] ?? 0) + 1;
			if (n < look) continue;
			look = Math.ceil(n * (1 + LOOK));
			const k = 1 + sign * line;
			const mixture = logEvidence(
				side,
				sample(counts.t),
				sample(counts.c),
				relative ? { slope: k, offset: 0 } : differenceLine((sign * line) / width),
				PRIOR_RATE,
				shares,
			);
			const bets = logBettingEvidence(
				side,
				capital(counts.t),
				capital(counts.c),
				relative ? ratioLine(k, range.lo / width) : differenceLine((sign * line) / width),
			);
			if (typeof bets !== "number") throw new Error(bets.reason);
			if (logMean(mixture, bets) < -Math.log(alpha)) continue;
			proof = n;
			break;
		}
		found.push(proof);
	}
	return found.sort((x, y) => x - y);
}

export function unitsUntilProof(claim: SequentialClaim, effect: number, runs: number, most: number): readonly number[] {
	const { method, direction, relative, baselineMean, line, alpha, shares } = claim;
	if (method.test === "betting") throw new Error("see scoresUntilProof()");
	const sign = direction === "up" ? 1 : -1;
	const scale = relative ? baselineMean : 1;
	const means = { t: baselineMean + sign * effect * scale, c: baselineMean };
	const contrast = relative ? { slope: 1 + sign * line, offset: 0 } : { slope: 1, offset: sign * line };
	const chance = shares.challenger / (shares.challenger + shares.baseline);
	const found: number[] = [];
	for (let run = 0; run < runs; run++) {
		const next = random(40_000 + run);
		const arms = { t: { n: 0, sum: 0, squares: 0 }, c: { n: 0, sum: 0, squares: 0 } };
		let look = 20;
		let proof = most;
		for (let n = 1; n <= most; n++) {
			const arm = next() < chance ? "t" : "c";
			// Exponential values where the mean is positive: skewed, and their variance is the claim's.
			const value =
				method.test === "asympcs"
					? means[arm] + Math.sqrt(method.variance) * (-Math.log(1 - next()) - 1)
					: next() < means[arm]
						? 1
						: 0;
			const own = arms[arm];
			own.n += 1;
			own.sum += value;
			own.squares += value * value;
			if (n < look) continue;
			look = Math.ceil(n * (1 + LOOK));
			const proved =
				method.test === "asympcs"
					? proves(arms, contrast, sign, alpha)
					: logEvidence(sign === 1 ? "above" : "below", arms.t, arms.c, contrast, method.prior, shares) >=
						-Math.log(alpha);
			if (!proved) continue;
			proof = n;
			break;
		}
		found.push(proof);
	}
	return found.sort((x, y) => x - y);
}

interface Sums {
	readonly n: number;
	readonly sum: number;
	readonly squares: number;
}

function proves(
	{ t, c }: { readonly t: Sums; readonly c: Sums },
	{ slope, offset }: { readonly slope: number; readonly offset: number },
	sign: 1 | -1,
	alpha: number,
): boolean {
	if (Math.min(t.n, c.n) < ASYMPCS_MIN_UNITS) return false;
	const moments = ({ n, sum, squares }: Sums) => ({ n, mean: sum / n, m2: squares - (sum * sum) / n });
	const { lower, upper } = contrastInterval(moments(t), moments(c), slope, alpha);
	return sign === 1 ? lower > offset : upper < offset;
}

/**
 * Units until a quantile's guardrail is proved, as unitsUntilProof(): both the share at the quantile itself and the grid.
 * The challenger has at every threshold the same part of the baseline's slow requests; thresholds are the baseline's own.
 */
export function quantileUntilProof(
	claim: SequentialClaim,
	quantile: number,
	effect: number,
	runs: number,
	most: number,
): readonly number[] {
	const { line, alpha, shares, baselineMean } = claim;
	const grid = gridQuantiles(quantile);
	const part = (baselineMean - effect) / baselineMean;
	const found: number[] = [];
	for (let run = 0; run < runs; run++) {
		const uniform = random(run + 1);
		const [t, c] = [grid.map(() => 0), grid.map(() => 0)];
		const add = (above: number[], rank: number): void => {
			for (let index = 0; index < grid.length && rank > (grid[index] ?? 1); index++)
				above[index] = (above[index] ?? 0) + 1;
		};
		let n = 0;
		let proved = false;
		while (!proved && 2 * n < most) {
			const until = n + Math.max(1, Math.floor(LOOK * n));
			for (; n < until; n++) {
				add(t, uniform() < part ? uniform() : 0);
				add(c, uniform());
			}
			const sample = (above: readonly number[]) => ({ n, slow: above.map((count) => count / n) });
			const at = (above: readonly number[]) => ({ n, sum: above[CENTRE] ?? 0 });
			proved =
				logEvidence("below", at(t), at(c), differenceLine(0 - line), PRIOR_RARE, shares) >= -Math.log(alpha) &&
				quantileInside({ quantile, tolerance: 0 - line, shares }, sample(t), sample(c), alpha);
		}
		found.push(proved ? 2 * n : Number.POSITIVE_INFINITY);
	}
	return found.sort((a, b) => a - b);
}
