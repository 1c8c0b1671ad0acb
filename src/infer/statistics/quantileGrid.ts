/**
 * What two arms' requests say of their quantiles, and not only of the shares above one frozen pair of thresholds.
 *
 * q₀ is drawn from a sample, and the baseline moves: of its own requests more or fewer than 1 − q are above it. So around
 * it further thresholds x₁ < x₂ < … are frozen, for the baseline as they are and for a challenger with the margin added,
 * T(x). With Q the baseline's q-quantile over the same run, and p = 1 − q:
 *
 * - Pass claims that less than p·(1 + tolerance) of the challenger's requests are above T(Q).
 * - Harm claims that more than p are: that its own q-quantile is beyond T(Q).
 *
 * Q is not known, but it lies between two neighbouring thresholds, below the first or above the last. If between x and y,
 * then of the baseline's requests at least p are above x and at most p above y, and of the challenger's no fewer are above
 * T(x), and no more above T(y), than above T(Q). Where the claim is wrong there are so two shares whose truth is dominated by
 * a known point, and evidence against that point is an e-process (sequential/nullBoundary.ts). The claim is proved when
 * all cells in which Q may lie are rejected; the one in which it does lie is so with probability at most alpha, at all looks
 * together (Howard & Ramdas, Bernoulli 28(3) 2022, section 5, on counts at thresholds). Nothing is asked of how the thresholds were
 * made but that it was before the data: how well they are placed matters to the power only.
 *
 * The quantile is that of a person's request, each person counting alike, as everywhere here.
 */

import { type ArmShares, type Sample, type Side, trialOf } from "./sequential/bernoulliMixture.js";
import { logAgainst } from "./sequential/nullBoundary.js";
import { ofRequests, slowPrior, slowShareAt } from "./slowShare.js";
import { RANGE_SLACK } from "./statistics/extremes.js";

/**
 * Odds of being slow at each threshold, as multiples of those of 1 − q, in rising order of thresholds. Close together where
 * cells decide, since their width is lost on claims near the line: around the quantile, by as much as it is not known (a p99
 * frozen from 5,000 requests has its share to 14 %). Out to where the baseline counts as moved (frozenReference.ts).
 */
const ODDS: readonly number[] = [
	4, 2.6, 1.9, 1.6, 1.49, 1.39, 1.3, 1.21, 1.13, 1.06, 1, 0.94, 0.88, 0.82, 0.765, 0.71, 0.66, 0.61, 0.45, 0.3,
];

/** How many thresholds a grid has. */
export const GRID_SIZE = ODDS.length;

/** Index of the threshold that is the quantile itself. */
export const CENTRE = ODDS.indexOf(1);

/** Up to this threshold a conviction looks for the baseline's quantile. */
const LAST_OF_HARM = ODDS.indexOf(0.61);

/** The quantiles of the baseline that thresholds are frozen from, rising. */
export function gridQuantiles(quantile: number): readonly number[] {
	return ODDS.map((odds, index) => (index === CENTRE ? quantile : 1 - slowShareAt(quantile, odds)));
}

/** Mean shares of slow requests at each threshold of the grid, over n units. */
export interface GridSample {
	readonly n: number;
	readonly slow: readonly number[];
}

/**
 * Why these are no shares above rising thresholds, the one at CENTRE being `mean`; or empty. A grid of another size proves
 * nothing and is none of them.
 */
export function problemOfGrid(slow: readonly number[], mean: number): string {
	if (slow.length !== GRID_SIZE) return "";
	for (const [index, share] of slow.entries()) {
		const said = (): string => {
			// NaN is null once it is stored, and the words must be the same.
			const of = Number.isFinite(share) ? ofRequests(`${share}`) : "no number of a person's requests";
			return `${of} are above threshold ${index + 1} of ${GRID_SIZE}`;
		};
		if (!(typeof share === "number" && share >= -RANGE_SLACK && share <= 1 + RANGE_SLACK)) return said();
		const before = slow[index - 1] ?? 1;
		if (share > before + RANGE_SLACK) return `${said()}, and ${before} above the lower one before it`;
	}
	const centre = slow[CENTRE] ?? Number.NaN;
	return Math.abs(centre - mean) <= RANGE_SLACK
		? ""
		: `${ofRequests(`${centre}`)} are above the frozen threshold by its grid, ${mean} by the metric`;
}

export interface GridQuestion {
	readonly quantile: number;
	/** Of the requests, added to 1 − q: what a pass tolerates. */
	readonly tolerance: number;
	readonly shares: ArmShares;
}

/** Whether the challenger's requests above the margin are proved to be few enough, wherever the baseline's quantile lies. */
export function quantileInside(question: GridQuestion, t: GridSample, c: GridSample, alpha: number): boolean {
	return rejected("below", question, t, c, alpha, GRID_SIZE);
}

/**
 * Whether the challenger's quantile is proved to lie beyond its margin, wherever the baseline's lies up to LAST_OF_HARM. That the
 * baseline has become slower than that could be excluded only by hundreds of its units (a p99: 450 without one slow request),
 * while people meet gross harm; there a conviction rests on the shares at the frozen thresholds alone.
 */
export function quantileBeyond(question: GridQuestion, t: GridSample, c: GridSample, alpha: number): boolean {
	return rejected("above", { ...question, tolerance: 0 }, t, c, alpha, LAST_OF_HARM);
}

/**
 * ln of the e-value for quantileInside(), which holds from −ln(alpha) on: the least of all cells'. Whichever cell the baseline's
 * quantile lies in, it is at most that one's. −∞ without the shares at every threshold.
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

/** ln of the e-value against a cell; cell i lies between thresholds i − 1 and i. null without the shares at every threshold. */
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
	// Beyond the outer thresholds an arm says nothing: its share is anything.
	const at = ({ n, slow }: GridSample, index: number): Sample => {
		const share = slow[index];
		return share === undefined ? { n: 0, sum: 0 } : { n, sum: n * share };
	};
	const [ofT, ofC] = side === "below" ? [-1, 0] : [0, -1];
	return (cell) => logAgainst(trialOf(side, at(t, cell + ofT), at(c, cell + ofC), prior, shares), { pt, pc, slope: 1 });
}
