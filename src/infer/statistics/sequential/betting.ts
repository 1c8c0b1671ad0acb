/**
 * Tests of means of values in [0,1] by betting, exact at any n and at all looks together, from mergeable sums. They
 * use the values' true spread, which the Bernoulli mixture does not: it must take every unit for a coin.
 *
 * A bet λ on a mean above m earns the factor 1 + λ(x − m) on each unit (Waudby-Smith & Ramdas, "Estimating means of
 * bounded random variables by betting", arXiv 2010.09686). With b = λ/(1 − λm) it is
 *
 *   1 + λ(x − m) = (1 + b·x) / (1 + b·m),
 *
 * so the capital against *every* m follows from one sum per bet, Σ ln(1 + b·x) − n·ln(1 + b·m) (statistics/logCapital.ts).
 * No null lies between points of a grid: the list of bets is finite, the nulls are not.
 *
 * Validity. For b > 0 the factor is increasing and linear in x, so its mean under any E X ≤ m is at most 1, and 1 at
 * m: the capital is a non-negative supermartingale that starts at 1, for all these means, whatever the distribution;
 * so is its mixture over the bets with weights fixed beforehand. Bets on a mean below m are the same for 1 − x. Units
 * must be independent with one mean per arm, or have that mean given the past.
 *
 * Two arms. For the claim p_t > k·p_c + d let (m_t, m_c) be a point of the line. The product of the challenger's
 * mixture "above m_t" and the baseline's mixture "below m_c" is a supermartingale under every (p_t, p_c) with
 * p_t ≤ m_t and p_c ≥ m_c, in whatever order the arms' units come and however many each has. Every null point is
 * dominated so by some point of the line that can be named beforehand (walk towards the corner (0, 1) of (p_c, p_t)).
 * So the infimum of the product over the line exceeds 1/α with probability at most α under every null point (Ville).
 *
 * The infimum is found for certain: −n·ln(1 + b·m) is convex in m, a log-sum-exp of convex functions is convex, and m
 * is linear along the line. And it falls as the line moves towards the claim (from any point of the first line one
 * can walk towards the corner to the second, and both mixtures only fall on the way), so a bound is one crossing.
 *
 * What it is worth: units per arm to prove at alpha 1/60 that a score of mean 0.90 in both arms is not more than 0.01
 * worse. The Bernoulli mixture needs 24,744 whatever the score's spread; betting pays 5 nats for not knowing spread
 * and effect, so that it loses a third where the units are coins and wins from a standard deviation of 0.26 down:
 *
 *   sd 0.30 (coins)  32,832      sd 0.20  14,676      sd 0.10  3,454      sd 0.05  845
 */
import type { NoEstimate } from "../estimators/estimate.js";
import { BETS, type LogCapital, problemOfCapital } from "../statistics/logCapital.js";
import { type Contrast, type Side, segment } from "./bernoulliArms.js";
import { type Bounds, RATIO_MAX } from "./bernoulliBounds.js";

/** Weight of not betting at all: an arm whose mean is known well from elsewhere costs no more than this. */
const ABSTAIN = 0.1;
const LOG_ABSTAIN = Math.log(ABSTAIN);
const LOG_EACH = Math.log((1 - ABSTAIN) / BETS.length);

/** A term so far below the largest adds nothing in double precision. */
const DOUBLE_NATS = 38;

/** What the two mixtures cost, about; only the speed of a search hangs on it. */
const BETTING_NATS = 5;

/** Precision of a bound; it errs on the side of the wider interval. */
const PRECISION = 1e-9;
const STEPS_MAX = 100;

/** ln of a mixture's capital with its first two derivatives in the claimed mean. */
interface Capital {
	readonly value: number;
	readonly slope: number;
	readonly curvature: number;
}

/** The capital of the mixture that bets on a mean above m (`up` sums, m) or below it (`down` sums, 1 − m; the slope is turned). */
function capitalAgainst({ n, up, down }: LogCapital, side: Side, mean: number): Capital {
	const sums = side === "above" ? up : down;
	const m = side === "above" ? mean : 1 - mean;
	const logs = new Float64Array(BETS.length);
	let top = LOG_ABSTAIN;
	for (let index = 0; index < BETS.length; index++) {
		const log = LOG_EACH + (sums[index] ?? 0) - n * Math.log(1 + (BETS[index] ?? 0) * m);
		logs[index] = log;
		if (log > top) top = log;
	}
	let total = Math.exp(LOG_ABSTAIN - top);
	let first = 0;
	let second = 0;
	for (let index = 0; index < BETS.length; index++) {
		const below = (logs[index] ?? 0) - top;
		if (below < -DOUBLE_NATS) continue;
		const weight = Math.exp(below);
		const bet = BETS[index] ?? 0;
		const pull = bet / (1 + bet * m);
		total += weight;
		first += weight * n * pull;
		second += weight * n * (n + 1) * pull * pull;
	}
	const slope = -first / total;
	return {
		value: top + Math.log(total),
		slope: side === "above" ? slope : -slope,
		curvature: Math.max(0, second / total - slope * slope),
	};
}

/** The mean, nearly: the smallest bet is nearly linear. Only the speed of a search hangs on it. */
function roughMean({ n, up }: LogCapital): number {
	return n === 0 ? 0.5 : Math.min(1, Math.expm1((up[0] ?? 0) / n) / (BETS[0] ?? 1));
}

/** Where a bound would lie if every unit were a coin: beyond the true one. */
function coinWidth(alpha: number, n: number, mean: number): number {
	return Math.sqrt((2 * (BETTING_NATS - Math.log(alpha)) * (mean * (1 - mean) + 1 / (n + 1))) / (n + 1));
}

/** ln e for the claim that the mean lies above (below) m, against every mean on the other side, m included. */
export function logMeanEvidence(side: Side, capital: LogCapital, m: number): number | NoEstimate {
	const problem = problemOfCapital(capital) || (m >= 0 && m <= 1 ? "" : `the claimed mean ${m} is outside [0, 1]`);
	return problem === "" ? capitalAgainst(capital, side, m).value : { reason: problem };
}

/** Confidence sequence of one mean, each bound one-sided at alpha: [0, 1] without data. */
export function meanBounds(capital: LogCapital, alpha: number): Bounds | NoEstimate {
	const problem = problemOfCapital(capital) || alphaProblem(alpha);
	if (problem !== "") return { reason: problem };
	const bar = -Math.log(alpha);
	const excess = (side: Side, m: number): Excess => {
		const { value, slope } = capitalAgainst(capital, side, m);
		return { y: value - bar, slope };
	};
	const mean = roughMean(capital);
	const width = coinWidth(alpha, capital.n, mean);
	const below = (x: number): Excess => {
		const { y, slope } = excess("below", -x);
		return { y, slope: -slope };
	};
	return {
		lower: lastProved([0, mean - width, 1], bar, (m) => excess("above", m)),
		upper: -lastProved([-1, -mean - width, 0], bar, below),
	};
}

/**
 * ln e for the claim p_t > slope·p_c + offset ("above") or < ("below"), against the other side, the line included.
 * +∞ where no pair of means is on the other side, 0 where all are. Slope ≥ 0.
 */
export function logBettingEvidence(
	side: Side,
	challenger: LogCapital,
	baseline: LogCapital,
	contrast: Contrast,
): number | NoEstimate {
	const problem = problemOfCapital(challenger) || problemOfCapital(baseline);
	return problem === "" ? infimum(side, challenger, baseline, contrast).value : { reason: problem };
}

/**
 * Confidence sequence of the difference p_t − p_c, each bound one-sided at alpha (the upper one at upperAlpha where
 * that is given) and searched for when read; [−1, 1] without data.
 */
export function bettingDifferenceBounds(
	challenger: LogCapital,
	baseline: LogCapital,
	alpha: number,
	upperAlpha: number = alpha,
): Bounds | NoEstimate {
	const [t, c] = [roughMean(challenger), roughMean(baseline)];
	const width = coinWidth(alpha, challenger.n, t) + coinWidth(alpha, baseline.n, c);
	const range = { lo: -1, hi: 1, guess: { lower: t - c - width, upper: t - c + width } };
	return boundsAlong(challenger, baseline, [alpha, upperAlpha], range, 0, differenceLine);
}

/**
 * Confidence sequence of the ratio of means (p_t + zero) ÷ (p_c + zero) by the contrast of each ratio k, each bound
 * one-sided at alpha or upperAlpha and searched for when read; in [0, RATIO_MAX].
 * @param zero how far 0 lies below the values' range, in ranges: not negative
 */
export function bettingRatioBounds(
	challenger: LogCapital,
	baseline: LogCapital,
	alpha: number,
	upperAlpha: number = alpha,
	zero = 0,
): Bounds | NoEstimate {
	const [t, c] = [zero + roughMean(challenger), Math.max(1 / RATIO_MAX, zero + roughMean(baseline))];
	const width = (coinWidth(alpha, challenger.n, t - zero) + (t / c) * coinWidth(alpha, baseline.n, c - zero)) / c;
	const range = { lo: 0, hi: RATIO_MAX, guess: { lower: t / c - width, upper: t / c + width } };
	return boundsAlong(challenger, baseline, [alpha, upperAlpha], range, zero, (k) => ratioLine(k, zero));
}

/** p_t = p_c + x. */
export function differenceLine(x: number): Contrast {
	return { slope: 1, offset: x };
}

/** p_t + zero = k·(p_c + zero). */
export function ratioLine(k: number, zero: number): Contrast {
	return { slope: k, offset: (k - 1) * zero };
}

function alphaProblem(alpha: number): string {
	return alpha > 0 && alpha < 1 ? "" : `alpha must lie between 0 and 1, it is ${alpha}`;
}

/** The product's infimum over the line, where it lies, and how it moves with m_t there. */
interface Infimum {
	readonly value: number;
	readonly pc: number;
	readonly slopeT: number;
}

function infimum(side: Side, t: LogCapital, c: LogCapital, contrast: Contrast, start?: number): Infimum {
	const { slope, offset } = contrast;
	const ends = segment(contrast);
	if (ends === null) {
		// The corner that is a null point if any is: (p_c, p_t) = (1, 0) for "above", (0, 1) for "below".
		const empty = side === "above" ? slope + offset < 0 : offset > 1;
		return { value: empty ? Number.POSITIVE_INFINITY : 0, pc: Number.NaN, slopeT: 0 };
	}
	const other: Side = side === "above" ? "below" : "above";
	let { lo, hi } = ends;
	let pc = start !== undefined && start > lo && start < hi ? start : (lo + hi) / 2;
	for (let step = 0; ; step++) {
		const pt = Math.min(1, Math.max(0, slope * pc + offset));
		const ofT = capitalAgainst(t, side, pt);
		const ofC = capitalAgainst(c, other, pc);
		const gradient = slope * ofT.slope + ofC.slope;
		const curvature = slope * slope * ofT.curvature + ofC.curvature;
		if (gradient > 0) hi = pc;
		else lo = pc;
		// What is left to fall is at most half gradient²/curvature near the bottom, and gradient·(way to the end) anywhere.
		const end = gradient > 0 ? ends.lo : ends.hi;
		const left = Math.min(
			Math.abs(gradient * (pc - end)),
			curvature > 0 ? (gradient * gradient) / curvature : Number.POSITIVE_INFINITY,
		);
		if (left <= 1e-11 || hi - lo <= 1e-15 || step >= STEPS_MAX)
			return { value: ofT.value + ofC.value - left, pc, slopeT: ofT.slope };
		const newton = pc - gradient / curvature;
		pc = newton > lo && newton < hi ? newton : (lo + hi) / 2;
	}
}

interface Excess {
	readonly y: number;
	/** dy/dx. */
	readonly slope: number;
}

function boundsAlong(
	t: LogCapital,
	c: LogCapital,
	[lowerAlpha, upperAlpha]: readonly [number, number],
	{ lo, hi, guess }: { readonly lo: number; readonly hi: number; readonly guess: Bounds },
	zero: number,
	line: (x: number) => Contrast,
): Bounds | NoEstimate {
	const problem = problemOfCapital(t) || problemOfCapital(c) || alphaProblem(lowerAlpha) || alphaProblem(upperAlpha);
	if (problem !== "") return { reason: problem };
	const along = (side: Side, bar: number): ((x: number) => Excess) => {
		let pc: number | undefined;
		return (x) => {
			const contrast = line(side === "above" ? x : -x);
			const found = infimum(side, t, c, contrast, pc);
			pc = Number.isNaN(found.pc) ? undefined : found.pc;
			// The derivative of an infimum is that at its place; a ratio moves m_t by m_c.
			const moves = (lo === 0 ? found.pc + zero : 1) * (side === "above" ? 1 : -1);
			return { y: found.value - bar, slope: found.slopeT * moves };
		};
	};
	const [lowerBar, upperBar] = [-Math.log(lowerAlpha), -Math.log(upperAlpha)];
	let lower: number | null = null;
	let upper: number | null = null;
	return {
		get lower() {
			lower ??= lastProved([lo, guess.lower, hi], lowerBar, along("above", lowerBar));
			return lower;
		},
		get upper() {
			upper ??= -lastProved([-hi, -guess.upper, -lo], upperBar, along("below", upperBar));
			return upper;
		},
	};
}

/**
 * The largest x in [lo, hi] whose excess is not negative, for an excess that falls in x; lo where there is none. By
 * Newton's method on √(ln e), which is nearly straight, within a closing bracket.
 */
function lastProved(
	[lo, guess, hi]: readonly [number, number, number],
	bar: number,
	excess: (x: number) => Excess,
): number {
	let good = lo;
	let bad = hi;
	let x = guess > lo && guess < hi ? guess : (lo + hi) / 2;
	for (let step = 0; step < STEPS_MAX && bad - good > PRECISION; step++) {
		const { y, slope } = excess(x);
		if (y >= 0) good = x;
		else bad = x;
		const z = Math.sqrt(2 * (y + bar + BETTING_NATS));
		const newton = x + (z * (Math.sqrt(2 * (bar + BETTING_NATS)) - z)) / slope;
		// Near the root to just beyond it on the other side, so that both ends close in.
		const beyond = newton + (y >= 0 ? 0.4 : -0.4) * PRECISION;
		x = beyond > good && beyond < bad ? beyond : (good + bad) / 2;
	}
	return good;
}
