/**
 * Tests of quantiles with a grid of thresholds, not only of the shares above one frozen pair.
 *
 * q₀ comes from a sample, and the baseline changes: more or less than 1 − q of its requests are above q₀. So around it
 * further thresholds x₁ < x₂ < … are frozen, for the baseline as they are and for a challenger with the margin added,
 * T(x). Let Q be the baseline's q-quantile over the same run, and p = 1 − q:
 *
 * - Pass claims that less than p·(1 + tolerance) of the challenger's requests are above T(Q).
 * - Harm claims that more than p are: that its own q-quantile is beyond T(Q).
 *
 * Q is not known, but it lies between two neighbouring thresholds, below the first or above the last. If between x and y,
 * then of the baseline's requests at least p are above x and at most p above y, and of the challenger's no fewer are above
 * T(x), and no more above T(y), than above T(Q). Where the claim is wrong there are so two shares whose truth is dominated by
 * a known point, and evidence against that point is an e-process (sequential/nullBoundary.ts). The claim is proved when
 * all possible cells of Q are rejected; the true one is rejected with probability at most alpha, at all looks together
 * (Howard & Ramdas, Bernoulli 28(3) 2022, section 5, on counts at thresholds). The thresholds may be any that were fixed
 * before the data: their positions affect only the power.
 *
 * Each person has the same weight in the quantile, as in all comparisons.
 */

import { type ArmShares, type Sample, type Side, trialOf } from "./sequential/bernoulliMixture.js";
import { logAgainst } from "./sequential/nullBoundary.js";
import { ofRequests, slowPrior, slowShareAt } from "./slowShare.js";
import { RANGE_SLACK } from "./statistics/extremes.js";

/**
 * Odds of being slow at each threshold, as multiples of those of 1 − q, by ascending threshold. Dense around the quantile,
 * within its uncertainty (a p99 frozen from 5,000 requests has its share to 14 %), because wide cells cost power near the line.
 * They extend to where the baseline counts as moved (frozenReference.ts).
 */
const ODDS: readonly number[] = [
	4, 2.6, 1.9, 1.6, 1.49, 1.39, 1.3, 1.21, 1.13, 1.06, 1, 0.94, 0.88, 0.82, 0.765, 0.71, 0.66, 0.61, 0.45, 0.3,
];

export const GRID_SIZE = ODDS.length;

/** Index of the threshold that is the quantile itself. */
export const CENTRE = ODDS.indexOf(1);

/** A harm verdict considers the baseline's quantile up to this threshold. */
const LAST_OF_HARM = ODDS.indexOf(0.61);

/** The baseline's quantiles for the thresholds, ascending. */
export function gridQuantiles(quantile: number): readonly number[] {
	return ODDS.map((odds, index) => (index === CENTRE ? quantile : 1 - slowShareAt(quantile, odds)));
}

/** Mean shares of slow requests at each threshold of the grid, over n units. */
export interface GridSample {
	readonly n: number;
	readonly slow: readonly number[];
}

/**
 * Why these are not shares above ascending thresholds with `mean` at CENTRE; empty = valid. A grid of another size is valid and
 * proves nothing.
 */
export function problemOfGrid(slow: readonly number[], mean: number): string {
	if (slow.length !== GRID_SIZE) return "";
	for (const [index, share] of slow.entries()) {
		const text = (): string => {
			// A stored NaN is null, and both must give the same text.
			const of = Number.isFinite(share) ? ofRequests(`${share}`) : "no number of a person's requests";
			return `${of} are above threshold ${index + 1} of ${GRID_SIZE}`;
		};
		if (!(typeof share === "number" && share >= -RANGE_SLACK && share <= 1 + RANGE_SLACK)) return text();
		const before = slow[index - 1] ?? 1;
		if (share > before + RANGE_SLACK) return `${text()}, and ${before} above the lower one before it`;
	}
	const centre = slow[CENTRE] ?? Number.NaN;
	return Math.abs(centre - mean) <= RANGE_SLACK
		? ""
		: `${ofRequests(`${centre}`)} are above the frozen threshold by its grid, ${mean} by the metric`;
}

export interface GridQuestion {
	readonly quantile: number;
	/** A pass's tolerance as a share of requests, added to 1 − q. */
	readonly tolerance: number;
	readonly shares: ArmShares;
}

/** Whether the challenger's share above the margin is proved small enough for any position of the baseline's quantile. */
export function quantileInside(question: GridQuestion, t: GridSample, c: GridSample, alpha: number): boolean {
	return rejected("below", question, t, c, alpha, GRID_SIZE);
}

/**
 * Whether the challenger's quantile is proved beyond its margin for any position of the baseline's quantile up to LAST_OF_HARM.
 * To exclude a slower baseline would need hundreds of its units (a p99: 450 without one slow request), too long for gross
 * harm; there the verdict uses only the shares at the frozen thresholds.
 */
export function quantileBeyond(question: GridQuestion, t: GridSample, c: GridSample, alpha: number): boolean {
	return rejected("above", { ...question, tolerance: 0 }, t, c, alpha, LAST_OF_HARM);
}

/**
 * ln of the e-value for quantileInside(), the minimum over all cells, so at most that of the true cell. quantileInside() is
 * true from −ln(alpha) on. −∞ = shares are missing.
 */
export function logQuantileInside(question: GridQuestion, t: GridSample, c: GridSample): number {
	const against = againstCells("below", question, t, c);
	if (against === null) return Number.NEGATIVE_INFINITY;
	return Math.min(...Array.from({ length: GRID_SIZE + 1 }, (_, cell) => against(cell)));
}

/** Whether cells 0 to `last` are all rejected. */
function rejected(
	side: Side,
	question: GridQuestion,
	t: GridSample,
	c: GridSample,
	alpha: number,
	last: number,
): boolean {
	const against = againstCells(side, question, t, c);
	if (against === null) return false;
	const bar = -Math.log(alpha);
	for (let cell = 0; cell <= last; cell++) if (!(against(cell) >= bar)) return false;
	return true;
}

/** ln of the e-value against cell i, between thresholds i − 1 and i. null = shares are missing. */
function againstCells(
	side: Side,
	{ quantile, tolerance, shares }: GridQuestion,
	t: GridSample,
	c: GridSample,
): ((cell: number) => number) | null {
	if (t.slow.length !== GRID_SIZE || c.slow.length !== GRID_SIZE) return null;
	const prior = slowPrior(quantile);
	const pc = 1 - quantile;
	const pt = Math.min(1, pc + tolerance);
	// Beyond the outer thresholds an arm's share is unknown.
	const at = ({ n, slow }: GridSample, index: number): Sample => {
		const share = slow[index];
		return share === undefined ? { n: 0, sum: 0 } : { n, sum: n * share };
	};
	const [ofT, ofC] = side === "below" ? [-1, 0] : [0, -1];
	return (cell) => logAgainst(trialOf(side, at(t, cell + ofT), at(c, cell + ofC), prior, shares), { pt, pc, slope: 1 });
}
