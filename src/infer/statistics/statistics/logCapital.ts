/**
 * Log-capital: what a fixed list of bets on values in [0,1] has earned, as sums that merge. In SQL each is one
 * `sum(ln(1 + b * x))` or `sum(ln(1 + b * (1 - x)))`; what the sums are worth is in sequential/betting.ts.
 *
 * The list is fixed because a bet that learns from earlier rows depends on their order, and a store's aggregates have
 * none. The sums name their list, so that sums of different ones are never added.
 */
import { WeirError } from "../../../error.js";

/**
 * The bets b: powers of two, so that each wish lies within a factor √2 of a bet (where at most a sixth of the growth
 * is lost). 1/256 serves effects of a thousandth in millions of units; 256 serves means of a few thousandths.
 */
export const BETS: readonly number[] = Array.from({ length: 17 }, (_, index) => 2 ** (index - 8));

/** Name of the list above; it changes whenever the list does. */
export const BETS_NAME = "powers-of-2/-8..8";

export interface LogCapital {
	/** Name of the bets. */
	readonly bets: string;
	/** Units. */
	readonly n: number;
	/** Σ ln(1 + b·x) by bet. */
	readonly up: readonly number[];
	/** Σ ln(1 + b·(1 − x)) by bet. */
	readonly down: readonly number[];
}

/** What merges with anything of the same bets and changes nothing. */
export const NO_CAPITAL: LogCapital = { bets: BETS_NAME, n: 0, up: BETS.map(() => 0), down: BETS.map(() => 0) };

/** The sums of both samples together. Throws where they are of different bets: such sums must not be added. */
export function mergeLogCapital(a: LogCapital, b: LogCapital): LogCapital {
	if (a.bets !== b.bets)
		throw new WeirError(
			"failed-precondition",
			`log-capital of the bets ${a.bets} and ${b.bets} cannot be added`,
			"aggregate both from the rows anew, with one version of Weir",
		);
	const add = (x: readonly number[], y: readonly number[]): number[] =>
		x.map((value, index) => value + (y[index] ?? Number.NaN));
	return { bets: a.bets, n: a.n + b.n, up: add(a.up, b.up), down: add(a.down, b.down) };
}

/** The sums of a list of values in [0,1]. A value outside makes them NaN, which problemOfCapital names. */
export function logCapitalOf(values: readonly number[]): LogCapital {
	const outside = values.some((value) => !(value >= 0 && value <= 1));
	const sum = (term: (value: number) => number): number =>
		outside ? Number.NaN : values.reduce((total, value) => total + Math.log1p(term(value)), 0);
	return {
		bets: BETS_NAME,
		n: values.length,
		up: BETS.map((bet) => sum((value) => bet * value)),
		down: BETS.map((bet) => sum((value) => bet * (1 - value))),
	};
}

/** Why these are not the sums of any sample of values in [0,1], or empty. */
export function problemOfCapital({ bets, n, up, down }: LogCapital): string {
	if (bets !== BETS_NAME) return `the sums are of the bets ${bets}, this version knows ${BETS_NAME}`;
	if (!Number.isSafeInteger(n) || n < 0) return `the count of units is ${n}`;
	if (up.length !== BETS.length || down.length !== BETS.length) return "a sum for each bet is needed";
	for (const [index, bet] of BETS.entries()) {
		const most = n * Math.log1p(bet) * (1 + 1e-9) + 1e-9;
		for (const sum of [up[index] ?? Number.NaN, down[index] ?? Number.NaN])
			if (!(sum >= -1e-9 && sum <= most)) return `a sum is ${sum}: a value is missing or outside [0, 1]`;
	}
	return "";
}

/** Rounding of the sums and of the mean, of a bet's greatest sum. */
const MEAN_SLACK = 1e-6;

/**
 * Why no values in [0,1] with this mean have these sums, or empty. ln(1 + b·x) is concave: with the mean known its sum is least
 * where values are 0 or 1 (its chord) and greatest where they are alike (Jensen).
 * @param mean of the same values, in [0,1]
 */
export function problemOfMean({ n, up, down }: LogCapital, mean: number): string {
	for (const [index, bet] of BETS.entries()) {
		const all = n * Math.log1p(bet);
		const slack = MEAN_SLACK * all;
		for (const [sum, m] of [
			[up[index] ?? Number.NaN, mean],
			[down[index] ?? Number.NaN, 1 - mean],
		] as const)
			if (!(sum >= all * m - slack && sum <= n * Math.log1p(bet * m) + slack))
				return `a sum of the bet ${bet} is ${sum}, which no values of mean ${Number(mean.toPrecision(6))} have`;
	}
	return "";
}
