/**
 * What thresholds frozen from the baseline's quantile still say when the baseline itself has moved.
 *
 * q₀ is the baseline's q-quantile as it was frozen, T₀ the challengers' threshold made of it. With c the share of the
 * baseline's requests above q₀ and t that of a challenger's above T₀, both over the same run, three things hold whatever
 * the baseline has become meanwhile:
 *
 * - The two samples are concurrent, so t is compared with c rightly, at every look. A challenger with the baseline's
 *   times has t ≤ c wherever T₀ ≥ q₀ (every margin from 0 on): no move of the baseline makes it look harmful.
 * - t > c says that the challenger's quantile of some level between 1 − t and 1 − c lies beyond its margin, t ≤ c that
 *   the one of level 1 − c lies inside. Which level that is follows the baseline. It is q as long as c is 1 − q.
 * - So a verdict about q needs that level to be near q. Near is here: the odds of being slow are within BAND times
 *   those of 1 − q, [lo, hi]; for a p99 from the p96.1 to the p99.75.
 *
 * Pass: t ≤ c (+ tolerance), t ≤ hi and c ≥ lo, each proved at the whole level. Then s = max(t, lo) lies in [lo, hi], at
 * most s of the challenger's requests are above T₀ and at least s (− tolerance) of the baseline's above q₀: the
 * (1 − s)-quantile is inside the margin. All three must be proved, so none shares its level with another
 * (intersection–union test, see levels()). It does not matter whether the baseline moved: a challenger that stays fast
 * beside a baseline that slows down passes, one that hides behind it does not.
 *
 * Harm: t > c and t > lo, each proved at harm's level. If c < hi, some s in [lo, hi] lies between c and t, and at that
 * level the challenger is beyond its margin. That c < hi is not proved each time (a p99 would take some 350 of the
 * baseline's units, and people would meet gross harm for so long): it is enough that c is not seen beyond GROSS times the
 * odds and that the baseline is not proved to be slower; once it is, nobody is convicted. What a conviction before that can
 * be wrong in is the level, between 1 − t and 1 − c; that the challenger was slower than the baseline at the same time, and
 * beyond the margin there, is never assumed.
 *
 * Moved: c is proved to lie outside MOVED times the odds of 1 − q, on one side, by a sequence of its own. As that is
 * narrower than BAND, either this or what a pass needs of c is proved in the end: nothing stays open for ever because the
 * baseline has moved. What is then neither pass nor harm is unknown, and the thresholds are frozen anew.
 *
 * Further thresholds are frozen around q₀ (quantileGrid.ts), and a verdict is about q itself: a pass asks the grid in
 * the place of t ≤ hi and c ≥ lo, harm asks it besides.
 *
 * An era is what is measured by one freezing: only units first exposed after it, by thresholds made of data before it.
 * Given the past, each era is a test of its own, begun at a stopping time; its claims have the level × eraShare, and these
 * add up to 1 over all eras that may ever be. A false "moved" is no false verdict: it costs evidence.
 */
import type { MetricEvidence } from "./evidence.js";
import { type GridQuestion, quantileBeyond, quantileInside } from "./quantileGrid.js";
import { logEvidenceAbove, logEvidenceBelow, type Sample } from "./sequential/bernoulliMixture.js";
import { slowPrior, slowShareAt } from "./slowShare.js";
import type { Moments } from "./statistics/moments.js";

/** A quantile that thresholds were frozen from, and by which freezing. */
export interface Reference {
	readonly quantile: number;
	readonly referenceMs: number;
	/** 1, 2, 3 … */
	readonly era: number;
	/** Thresholds around it were frozen with it. */
	readonly grid: boolean;
}

/** Odds of being slow, as a multiple of those of 1 − q: beyond it a verdict would be about another quantile. */
const BAND = 4;

/** While no more than this is seen of the baseline, gross harm need not wait until it is known whether the baseline moved. */
const GROSS = 8;

/** From here on the baseline has moved. A quantile that was frozen from the fewest requests allowed lies well within it. */
const MOVED = 3;

/** Chance that a baseline that has not moved is said to have, in an era: half of it on each side. */
const MOVED_ALPHA = 0.01;

/**
 * Of a claim's level, what an era has: 3/4, 1/8, 1/24, 1/48, … The first has most, for most experiments have no second;
 * the others fall slowly, for a baseline that moves once a day moves often.
 */
export function eraShare(era: number): number {
	return era <= 1 ? 0.75 : 0.25 / ((era - 1) * era);
}

/** The shares between which the baseline counts as where it was. */
export function unmovedShares(quantile: number): { readonly from: number; readonly to: number } {
	return { from: slowShareAt(quantile, 1 / MOVED), to: slowShareAt(quantile, MOVED) };
}

/** Whether the baseline is proved to have moved since the freezing, and where to. Valid at all looks together. */
export function baselineMoved({ quantile }: Reference, baseline: Moments): "slower" | "faster" | null {
	const bar = -Math.log(MOVED_ALPHA / 2);
	const sample = sampleOf(baseline);
	const { from, to } = unmovedShares(quantile);
	if (baseline.mean > to) return logEvidenceAbove(sample, to, slowPrior(quantile)) >= bar ? "slower" : null;
	return logEvidenceBelow(sample, from, slowPrior(quantile)) >= bar ? "faster" : null;
}

/** What a claim asks about its thresholds. */
type AtThresholds = Omit<GridQuestion, "quantile">;

/** Whether a pass by the thresholds is one of the quantile; without a grid of one near it, t ≤ hi and c ≥ lo. */
export function passIsNear(
	{ quantile, grid }: Reference,
	asked: AtThresholds,
	challenger: MetricEvidence,
	baseline: MetricEvidence,
	alpha: number,
): boolean {
	if (grid) return quantileInside({ quantile, ...asked }, gridOf(challenger), gridOf(baseline), alpha);
	const [bar, prior] = [-Math.log(alpha), slowPrior(quantile)];
	return (
		logEvidenceBelow(sampleOf(challenger), slowShareAt(quantile, BAND), prior) >= bar &&
		logEvidenceAbove(sampleOf(baseline), slowShareAt(quantile, 1 / BAND), prior) >= bar
	);
}

/** Whether a larger share of slow requests would be harm, in all units or a part of them. null: no thresholds that move. */
export function mayHarm(
	reference: Reference | null,
	asked: AtThresholds,
	challenger: MetricEvidence,
	baseline: MetricEvidence,
	harmAlpha: number,
): boolean {
	if (reference === null) return true;
	const { quantile, grid } = reference;
	const moved = baseline.n === 0 ? null : baselineMoved(reference, baseline);
	if (moved === "slower" || !harmIsNear(reference, challenger, baseline, harmAlpha)) return false;
	return !grid || quantileBeyond({ quantile, ...asked }, gridOf(challenger), gridOf(baseline), harmAlpha);
}

/** Whether a harm by the thresholds is one near the quantile: t > lo, and c not seen far above hi. */
function harmIsNear({ quantile }: Reference, challenger: Moments, baseline: Moments, harmAlpha: number): boolean {
	if (!(baseline.mean < slowShareAt(quantile, GROSS))) return false;
	const logE = logEvidenceAbove(sampleOf(challenger), slowShareAt(quantile, 1 / BAND), slowPrior(quantile));
	return logE >= -Math.log(harmAlpha);
}

const gridOf = ({ n, slow = [] }: MetricEvidence) => ({ n, slow });

function sampleOf({ n, mean }: Moments): Sample {
	return { n, sum: n * mean };
}
