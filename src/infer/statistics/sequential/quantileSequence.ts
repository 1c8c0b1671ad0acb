/**
 * Quantiles at all looks: confidence sequences of one quantile and tests of two arms' quantiles, from counts of values
 * at or below thresholds: those of a histogram, of a sorted sample, or of a sketch with its stated rank error.
 *
 * One sample (Howard & Ramdas, Bernoulli 28(3) 2022, arXiv 1906.09712, at one fixed quantile). Let Q be the q-quantile,
 * so P(X ≤ Q) ≥ q and P(X < Q) ≤ q. The count below Q is then a sum of coins of at most q each, whatever Q is, and
 * evidence that it is more has probability at most alpha of ever reaching 1/alpha. A threshold t above which Q lay
 * would have at most that count, so the smallest t whose count is proved to be more than q lies at or above Q; the
 * lower bound mirrors it. Ties need no care. Unlike a band for all quantiles, whose upper end at q = 0.99 is infinite
 * before some 73,000 values, this one is finite from about 460 (0.99, alpha 5 %).
 *
 * Two arms. Under "both have the quantile x" the product of the arms' martingales at x starts at 1; x is not known, so
 * the test takes the smallest product over all x. Between two thresholds a count may be anything between theirs.
 *
 * Rank error: a sketch's count may be wrong by rankError·n, so every count is used at its worse end. Values must be
 * independent. Requests of one person are not: for them the claim is made on units, each with the share of its
 * requests above a frozen threshold (analyse.ts).
 */
import type { NoEstimate } from "../estimators/estimate.js";
import type { Side } from "./bernoulliArms.js";
import { logMartingale } from "./bernoulliMixture.js";
import { centredPrior, logOneSided, type Tuning } from "./betaBinomial.js";

/** How many values lie at or below each threshold. */
export interface RankCounts {
	readonly n: number;
	/** In rising order of value. */
	readonly points: readonly { readonly value: number; readonly atMost: number }[];
	/** Largest error of any `atMost`, as a share of n: 0 for counts, the sketch's guarantee for a sketch. */
	readonly rankError: number;
}

/** null: the data do not bound that side yet. */
export interface QuantileBounds {
	readonly lower: number | null;
	readonly upper: number | null;
}

/** Bounds of the q-quantile, each one-sided at alpha, at all looks together. They are thresholds of the counts. */
export function quantileBounds(counts: RankCounts, q: number, tuning: Tuning): QuantileBounds | NoEstimate {
	const problem = problemOf(counts) || designProblem(q, tuning);
	if (problem !== "") return { reason: problem };
	const bar = -Math.log(tuning.alpha);
	const prior = centredPrior(q, { ...tuning, alpha: 2 * tuning.alpha });
	const { n, points } = counts;
	const proved = (side: Side, atMost: number): boolean =>
		n > 0 && logOneSided(side, { n, sum: worse(counts, side, atMost) }, q, prior) >= bar;
	// Evidence rises with the count, so the first and the last threshold are found by halving.
	const above = firstIndex(points.length, (index) => proved("above", points[index]?.atMost ?? 0));
	const notBelow = firstIndex(points.length, (index) => !proved("below", points[index]?.atMost ?? 0));
	return { lower: points[notBelow - 1]?.value ?? null, upper: points[above]?.value ?? null };
}

/**
 * Anytime p-value for the claim that the challenger's q-quantile differs from the baseline's, or lies above or below it.
 * Both arms must be counted at the same number of thresholds. With a margin, let the baseline's i-th threshold be the
 * challenger's divided by 1 + margin: then "above" claims a quantile more than the margin above. The two-sample pair of
 * quantileBounds() in the same paper, tested and calibrated with it; latency is decided by two thresholds (compareShares.ts).
 */
export function quantilePValue(
	claim: Side | "different",
	challenger: RankCounts,
	baseline: RankCounts,
	q: number,
	tuning: Tuning,
): { readonly p: number } | NoEstimate {
	const problem = problemOf(challenger) || problemOf(baseline) || designProblem(q, tuning);
	if (problem !== "") return { reason: problem };
	if (challenger.points.length !== baseline.points.length)
		return { reason: "the arms are counted at different thresholds" };
	const cell =
		claim === "different"
			? bothSided(challenger, baseline, q, tuning)
			: oneSided(claim, challenger, baseline, q, tuning);
	let least = Number.POSITIVE_INFINITY;
	// The common quantile lies between two neighbouring thresholds, below the first or above the last.
	for (let index = 0; index <= challenger.points.length; index++) least = Math.min(least, cell(index));
	return { p: Math.min(1, Math.exp(-least)) };
}

/** Least product of both arms' two-sided martingales for a quantile in cell `index`. */
function bothSided(t: RankCounts, c: RankCounts, q: number, tuning: Tuning): (index: number) => number {
	const prior = centredPrior(q, tuning);
	const arm = (counts: RankCounts): ((index: number) => number) => {
		const { n } = counts;
		const at = (sum: number): number => logMartingale({ n, sum }, q, prior);
		const bottom = bottomOf(at, n, q);
		return (index) => {
			const lo = worse(counts, "above", countAt(counts, index - 1));
			const hi = worse(counts, "below", countAt(counts, index));
			return at(Math.min(hi, Math.max(lo, bottom)));
		};
	};
	const [ofT, ofC] = [arm(t), arm(c)];
	return (index) => ofT(index) + ofC(index);
}

/** "above": fewer than q of the challenger at or below x, more than q of the baseline below x; "below" mirrors it. */
function oneSided(side: Side, t: RankCounts, c: RankCounts, q: number, tuning: Tuning): (index: number) => number {
	const prior = centredPrior(q, { ...tuning, alpha: Math.min(0.5, 2 * tuning.alpha) });
	const [slower, faster] = side === "above" ? [t, c] : [c, t];
	return (index) =>
		logOneSided("below", { n: slower.n, sum: worse(slower, "below", countAt(slower, index)) }, q, prior) +
		logOneSided("above", { n: faster.n, sum: worse(faster, "above", countAt(faster, index - 1)) }, q, prior);
}

/** Count at the threshold with this index: none before the first, all after the last. */
function countAt({ n, points }: RankCounts, index: number): number {
	if (index < 0) return 0;
	return points[index]?.atMost ?? n;
}

/** The count that the rank error allows and that speaks least for "more than q" ("above") or "less" ("below"). */
function worse({ n, rankError }: RankCounts, side: Side, atMost: number): number {
	return side === "above" ? Math.max(0, atMost - rankError * n) : Math.min(n, atMost + rankError * n);
}

/**
 * The sum at which the two-sided martingale, convex in it, is smallest: within a few units of q·n, because its prior's
 * mean is q. By golden section; at a minimum an error of 1e-4 units is one of less than 1e-8 nats.
 */
function bottomOf(at: (sum: number) => number, n: number, q: number): number {
	const golden = (Math.sqrt(5) - 1) / 2;
	let [lo, hi] = [Math.max(0, q * n - 4), Math.min(n, q * n + 4)];
	while (hi - lo > 1e-4) {
		const left = hi - golden * (hi - lo);
		const right = lo + golden * (hi - lo);
		if (at(left) <= at(right)) hi = right;
		else lo = left;
	}
	return (lo + hi) / 2;
}

/** The first index of 0…length for which a test that turns from false to true once is true; length where it never is. */
function firstIndex(length: number, test: (index: number) => boolean): number {
	let lo = 0;
	let hi = length;
	while (lo < hi) {
		const middle = Math.floor((lo + hi) / 2);
		if (test(middle)) hi = middle;
		else lo = middle + 1;
	}
	return lo;
}

function designProblem(q: number, { alpha, tunedAt }: Tuning): string {
	if (!(q > 0 && q < 1)) return `the quantile is ${q}: it must lie between 0 and 1`;
	if (!(alpha > 0 && alpha < 0.5)) return `alpha must lie between 0 and a half, it is ${alpha}`;
	return tunedAt > 0 && tunedAt < Number.POSITIVE_INFINITY ? "" : `the sequence is tuned at ${tunedAt}`;
}

function problemOf({ n, points, rankError }: RankCounts): string {
	if (!Number.isSafeInteger(n) || n < 0) return `the count of values is ${n}`;
	if (!(rankError >= 0 && rankError < 1)) return `the rank error is ${rankError}`;
	let before = { value: Number.NEGATIVE_INFINITY, atMost: 0 };
	for (const point of points) {
		if (!(point.value > before.value)) return "thresholds must rise and be numbers";
		// A sketch's counts may fall by its rank error where the true ones stand still; such a state is not used.
		if (!(point.atMost >= before.atMost && point.atMost <= n)) return "counts must rise with the threshold, up to n";
		before = point;
	}
	return "";
}
