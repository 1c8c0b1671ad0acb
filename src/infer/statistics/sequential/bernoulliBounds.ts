/**
 * Confidence sequences of a difference and of a ratio of two means in [0,1], by inverting the exact test of
 * bernoulliMixture.ts. Each bound is one-sided at its own level, at all looks together; an interval that misses the
 * truth on either side with probability at most alpha is that at alpha/2 each.
 *
 * A bound is the line at which the evidence, the infimum over the line's null points, falls to ln(1/alpha). Finding it
 * costs two kinds of values: cheap ones at a single null point, which can only be too large and steer the search, and
 * one whole infimum at the line that is returned. So what is returned is proved, however the search went.
 */
import {
	type ArmShares,
	type BetaPrior,
	type Contrast,
	EQUAL_SHARES,
	type Sample,
	trialOf,
} from "./bernoulliMixture.js";
import {
	atCentre,
	coarseMinimum,
	logAt,
	logValley,
	type NullMinimum,
	nullMinimum,
	type Trial,
} from "./nullBoundary.js";

export interface Bounds {
	readonly lower: number;
	readonly upper: number;
}

/** Precision of a bound. It errs on the side of the wider interval. */
const BRACKET = 1e-9;

/** Precision of the cheap bound's crossing, where the search for the exact one starts. */
const START = 1e-4;
const STEPS_MAX = 120;

/** Newton steps before the slow and certain search takes over; 3 or 4 are usual. */
const NEWTON_STEPS = 12;

/** Approximate cost of the mixture (bernoulliMixture.ts); affects only the speed of the search. */
const MIXTURE_NATS = 2.5;

/** By how much ln e exceeds ln(1/alpha) on the line x of a family (not negative: the claim is proved), and the null point. */
interface Excess {
	readonly y: number;
	readonly pc: number | null;
}

/** One family of lines. All but `whole` are upper bounds of it. */
interface Lines {
	readonly bar: number;
	readonly whole: (x: number) => Excess;
	readonly coarse: (x: number) => Excess;
	readonly central: (x: number) => Excess;
	readonly valley: (x: number, pc: number) => Excess;
	readonly at: (x: number, pc: number) => number;
}

function linesOf(trial: Trial, alpha: number, line: (x: number) => Contrast): Lines {
	const bar = -Math.log(alpha);
	const excess = ({ value, pc }: NullMinimum): Excess => ({ y: value - bar, pc });
	return {
		bar,
		whole: (x) => excess(nullMinimum(trial, line(x), bar)),
		coarse: (x) => excess(coarseMinimum(trial, line(x))),
		central: (x) => excess(atCentre(trial, line(x))),
		valley: (x, pc) => excess(logValley(trial, line(x), pc)),
		at: (x, pc) => logAt(trial, line(x), pc) - bar,
	};
}

interface End {
	readonly x: number;
	readonly y: number;
}

/** A bracket no wider than `precision` around a sign change of f, which is not negative at `good` and negative at `bad`. */
function signChange(
	from: End,
	to: End,
	precision: number,
	f: (x: number) => number,
): { readonly good: End; readonly bad: End } {
	let good = from;
	let bad = to;
	let widths: readonly [number, number] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
	// Regula falsi with the Illinois weights: the end that stays a second time counts half.
	let weight = { good: 1, bad: 1 };
	let moved: "good" | "bad" | null = null;
	for (let step = 0; step < STEPS_MAX && bad.x - good.x > precision; step++) {
		const width = bad.x - good.x;
		const yGood = good.y * weight.good;
		const secant = good.x + (width * yGood) / (yGood - bad.y * weight.bad);
		// Almost the tolerance away from either end, so that the bracket closes from both.
		const nudge = Math.min(0.9 * precision, width / 2);
		// Bisection whenever two steps did not halve the bracket, or an end is infinite.
		const x =
			secant >= good.x && secant <= bad.x && width <= widths[0] / 2
				? Math.min(bad.x - nudge, Math.max(good.x + nudge, secant))
				: (good.x + bad.x) / 2;
		if (x <= good.x || x >= bad.x) break;
		widths = [widths[1], width];
		const y = f(x);
		if (y >= 0) {
			weight = { good: 1, bad: moved === "good" ? weight.bad / 2 : weight.bad };
			moved = "good";
			good = { x, y };
		} else {
			weight = { good: moved === "bad" ? weight.good / 2 : weight.good, bad: 1 };
			moved = "bad";
			bad = { x, y };
		}
	}
	return { good, bad };
}

/**
 * The x in [lo, hi] up to which the excess is not negative; lo if nowhere, hi if everywhere. Newton's method follows
 * the worst null point from line to line (the derivative of an infimum is that at its place), and the whole infimum is
 * computed at the result. If another null point is worse there, Newton goes on from that one. The x returned is itself
 * proved. It is the first crossing where the excess falls in x, which is no theorem (each line's steps point in their
 * own directions) but held in all of 369,000 lines of random samples wherever the evidence was above 2 to 1; a test
 * keeps a part of them.
 */
function lastProved(lo: number, hi: number, guess: number, lines: Lines): number {
	const fromGuess = guess > lo && guess < hi ? newton(lo, guess, lines) : null;
	if (fromGuess !== null) return fromGuess;
	if (lines.whole(lo).y < 0) return lo;
	const atHi = lines.whole(hi).y;
	if (atHi >= 0) return hi;
	// The central null point's crossing lies at or beyond the exact one.
	const central = (x: number): number => lines.central(x).y;
	const centralAtHi = central(hi);
	const outer =
		centralAtHi >= 0
			? hi
			: signChange({ x: lo, y: Number.POSITIVE_INFINITY }, { x: hi, y: centralAtHi }, START, central).good.x;
	if (outer === lo) return lo;
	return newton(lo, outer, lines) ?? certain(lo, outer, hi, atHi, lines);
}

/** Newton's method from `start`; null where it does not arrive. */
function newton(lo: number, start: number, { bar, whole, coarse, valley, at }: Lines): number | null {
	let x = start;
	let here = coarse(x);
	for (let step = 0; step < NEWTON_STEPS; step++) {
		if (here.pc === null) return null;
		const { pc } = here;
		const small = 1e-7 * (x - lo);
		const slope = (at(x - small, pc) - here.y) / small;
		// ln e is nearly z²/2 − MIXTURE_NATS, so its root is a nearly straight line in x.
		const z = Math.sqrt(2 * (here.y + bar + MIXTURE_NATS));
		const back = (z * (Math.sqrt(2 * (bar + MIXTURE_NATS)) - z)) / slope;
		if (!(slope > 0 && Number.isFinite(back) && x - back > lo)) return null;
		x -= back;
		if (Math.abs(back) > BRACKET / 4) here = valley(x, pc);
		else {
			x -= BRACKET / 2;
			here = whole(x);
			if (here.y >= 0) return x;
		}
	}
	return null;
}

/** From `outer` steps back until a line is proved, then closes the bracket, every value a whole infimum. */
function certain(lo: number, outer: number, hi: number, atHi: number, { whole }: Lines): number {
	const exact = (x: number): number => whole(x).y;
	let bad = { x: outer, y: outer === hi ? atHi : exact(outer) };
	if (bad.y >= 0) return signChange(bad, { x: hi, y: atHi }, BRACKET, exact).good.x;
	let back = 1e-5 * (outer - lo);
	for (;;) {
		const x = Math.max(lo, bad.x - Math.max(back, BRACKET));
		const y = exact(x);
		if (y >= 0) return signChange({ x, y }, bad, BRACKET, exact).good.x;
		if (!(x > lo)) return lo;
		bad = { x, y };
		back *= 4;
	}
}

/**
 * Both bounds along two families of lines that are each other's mirror, with a guess of each. A bound is searched for
 * when it is first read: it costs some fifty times what one line does, and most looks need no bound at all.
 */
function boundsAlong(
	above: Trial,
	alpha: { readonly lower: number; readonly upper: number },
	[lo, hi]: readonly [number, number],
	line: (x: number) => Contrast,
	guess: Bounds,
): Bounds {
	let lower: number | null = null;
	let upper: number | null = null;
	return {
		get lower() {
			lower ??= lastProved(lo, hi, guess.lower, linesOf(above, alpha.lower, line));
			return lower;
		},
		get upper() {
			const below = (): Lines => linesOf({ ...above, side: "below" }, alpha.upper, (x) => line(-x));
			upper ??= -lastProved(-hi, -lo, -guess.upper, below());
			return upper;
		},
	};
}

/** Where the normal approximation puts the bounds of p_t − slope·p_c, in standard errors of it, with half a unit added. */
function normalGuess(t: Sample, c: Sample, slope: number, alpha: number): { middle: number; width: number } {
	const mean = ({ n, sum }: Sample): number => (sum + 0.5) / (n + 1);
	const variance = (arm: Sample): number => (mean(arm) * (1 - mean(arm))) / (arm.n + 1);
	return {
		middle: mean(t) - slope * mean(c),
		width: Math.sqrt(2 * (MIXTURE_NATS - Math.log(alpha)) * (variance(t) + slope * slope * variance(c))),
	};
}

/**
 * Confidence sequence of the difference p_t − p_c: each bound is one-sided at level alpha (the upper one at
 * upperAlpha where that is given), at all looks together.
 * Within [−1, 1]; the whole of it without data. Lines up to the lower bound are those that the data prove p_t to
 * lie above; the bound is the first that they do not.
 */
export function differenceBounds(
	challenger: Sample,
	baseline: Sample,
	alpha: number,
	prior: BetaPrior,
	shares: ArmShares = EQUAL_SHARES,
	upperAlpha: number = alpha,
): Bounds {
	const trial = trialOf("above", challenger, baseline, prior, shares);
	const guess = (level: number): { middle: number; width: number } =>
		normalGuess(trial.challenger, trial.baseline, 1, level);
	const { middle, width } = guess(alpha);
	const guesses = { lower: middle - width, upper: middle + guess(upperAlpha).width };
	return boundsAlong(trial, { lower: alpha, upper: upperAlpha }, [-1, 1], (offset) => ({ slope: 1, offset }), guesses);
}

/** Ratios beyond this are reported as this: the upper bound of a ratio with a baseline that may be 0 is infinite. */
export const RATIO_MAX = 1_000;

/**
 * Confidence sequence of the ratio p_t ÷ p_c, by the linear contrast p_t − k·p_c at each k: no noisy baseline is
 * plugged in. Each bound one-sided at level alpha or upperAlpha; within [0, RATIO_MAX].
 */
export function ratioBounds(
	challenger: Sample,
	baseline: Sample,
	alpha: number,
	prior: BetaPrior,
	shares: ArmShares = EQUAL_SHARES,
	upperAlpha: number = alpha,
): Bounds {
	const trial = trialOf("above", challenger, baseline, prior, shares);
	const perBaseline = trial.baseline.n / trial.baseline.sum;
	const ratio = (trial.challenger.sum / trial.challenger.n) * perBaseline;
	const reach = (level: number): number =>
		normalGuess(trial.challenger, trial.baseline, ratio, level).width * perBaseline;
	const guess = { lower: ratio - reach(alpha), upper: ratio + reach(upperAlpha) };
	return boundsAlong(
		trial,
		{ lower: alpha, upper: upperAlpha },
		[0, RATIO_MAX],
		(slope) => ({ slope, offset: 0 }),
		guess,
	);
}
