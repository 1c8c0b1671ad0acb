/**
 * The log-capital of bets on n units that follow a distribution of values in [0, 1].
 *
 * A plan knows mean and variance, and assumes the Beta distribution with them (for 0/1 values: the coin), as POINTS quantiles.
 * For a sample with another mean the expected sums are, to first order, E f + (mean − E X)·Cov(f, X)/Var X for each
 * f = ln(1 + b·X). The same regression corrects the error of the quantiles' own mean.
 */
import { betaQuantile } from "../statistics/distributions/beta.js";
import { BETS, BETS_NAME, type LogCapital } from "../statistics/statistics/logCapital.js";

/** A bet's expected log-factor for one unit, and its slope in the sample's mean. */
interface Growth {
	readonly mean: number;
	readonly slope: number;
}

export interface BoundedLaw {
	readonly mean: number;
	/** By bet. */
	readonly up: readonly Growth[];
	readonly down: readonly Growth[];
}

const POINTS = 256;

/** Closer to the coin's variance than this, the Beta has all its mass at the ends. */
const COIN = 0.98;

/** Cache size: a plan's search uses the baseline's distribution many times, and few others. */
const KEPT_MAX = 16;
const kept = new Map<string, BoundedLaw>();

/** @param variance above 0, at most mean·(1 − mean) */
export function boundedLaw(mean: number, variance: number): BoundedLaw {
	const key = `${mean} ${variance}`;
	const known = kept.get(key);
	if (known !== undefined) return known;
	const law = lawOf(mean, weighted(mean, variance));
	if (kept.size >= KEPT_MAX) kept.clear();
	kept.set(key, law);
	return law;
}

type Weighted = readonly (readonly [value: number, weight: number])[];

function weighted(mean: number, variance: number): Weighted {
	const coin = mean * (1 - mean);
	if (!(variance < COIN * coin))
		return [
			[0, 1 - mean],
			[1, mean],
		];
	const size = coin / variance - 1;
	return Array.from({ length: POINTS }, (_, k) => [
		betaQuantile((k + 0.5) / POINTS, mean * size, (1 - mean) * size),
		1 / POINTS,
	]);
}

function lawOf(mean: number, points: Weighted): BoundedLaw {
	const expected = (f: (value: number) => number): number =>
		points.reduce((sum, [value, weight]) => sum + weight * f(value), 0);
	const centre = expected((value) => value);
	const variance = expected((value) => (value - centre) ** 2);
	const growth = (f: (value: number) => number): Growth => {
		const plain = expected(f);
		const slope = variance > 0 ? expected((value) => (value - centre) * f(value)) / variance : 0;
		return { mean: plain + (mean - centre) * slope, slope };
	};
	return {
		mean,
		up: BETS.map((bet) => growth((value) => Math.log1p(bet * value))),
		down: BETS.map((bet) => growth((value) => Math.log1p(bet * (1 - value)))),
	};
}

/** n units of the distribution with the sample mean `mean`. */
export function capitalOf(law: BoundedLaw, n: number, mean: number): LogCapital {
	const sums = (growths: readonly Growth[]): number[] =>
		growths.map((growth, index) =>
			Math.min(n * Math.log1p(BETS[index] ?? 0), Math.max(0, n * (growth.mean + (mean - law.mean) * growth.slope))),
		);
	return { bets: BETS_NAME, n, up: sums(law.up), down: sums(law.down) };
}
