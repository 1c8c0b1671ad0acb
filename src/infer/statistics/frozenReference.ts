/**
 * What thresholds frozen from the baseline's quantile prove after the baseline itself has changed.
 *
 * q₀ is the frozen q-quantile of the baseline, T₀ the challengers' threshold computed from it. With c the share of the
 * baseline's requests above q₀ and t that of a challenger's above T₀, both over the same run, three things hold for any change
 * of the baseline:
 *
 * - The two samples are concurrent, so comparing t with c is valid at every look. A challenger with the baseline's times
 *   has t ≤ c if T₀ ≥ q₀ (every margin from 0 on): no change of the baseline makes it look harmful.
 * - t > c means that the challenger's quantile of some level between 1 − t and 1 − c is beyond its margin, t ≤ c that the
 *   one of level 1 − c is within it. The level depends on the baseline. It is q while c is 1 − q.
 * - So a verdict about q needs a level near q, which means here: the odds of being slow are within BAND times
 *   those of 1 − q, [lo, hi]; for a p99 from the p96.1 to the p99.75.
 *
 * Pass: t ≤ c (+ tolerance), t ≤ hi and c ≥ lo, each proved at the whole level. Then s = max(t, lo) lies in [lo, hi], at
 * most s of the challenger's requests are above T₀ and at least s (− tolerance) of the baseline's above q₀: the
 * (1 − s)-quantile is inside the margin. All three must be proved, so none shares its level with another
 * (intersection–union test, see levels()). If the baseline slows down, a challenger that stays fast passes, and one that
 * slows down with it does not.
 *
 * Harm: t > c and t > lo, each proved at harm's level. If c < hi, some s in [lo, hi] lies between c and t, and at that
 * level the challenger is beyond its margin. c < hi is not always proved (a p99 needs about 350 of the baseline's
 * units, too long for gross harm): it is enough that the observed c is within GROSS times the odds and that the baseline is not
 * proved slower. After such a proof there is no harm verdict. An earlier verdict can be wrong only in the level, between 1 − t
 * and 1 − c: the challenger was slower than the baseline at the same time, and beyond the margin at that level.
 *
 * Moved: c is proved to be outside MOVED times the odds of 1 − q, on one side, by a separate sequence. It is narrower than
 * BAND, so either this or the pass's condition on c is proved eventually, and no claim stays open forever. Then a claim without
 * a verdict is unknown, and the thresholds are frozen again.
 *
 * Further thresholds are frozen around q₀ (quantileGrid.ts), and a verdict is about q itself: a pass uses the grid
 * instead of t ≤ hi and c ≥ lo, harm uses it in addition.
 *
 * An era is the data of one freezing: units first exposed after it, with thresholds from earlier data. Given the past, each
 * era is a separate test that begins at a stopping time. Its claims have the level × eraShare, and the shares of all possible
 * eras add up to 1. A false "moved" is no false verdict: it costs evidence.
 */
import type { MetricEvidence } from "./evidence.js";
import { type GridQuestion, quantileBeyond, quantileInside } from "./quantileGrid.js";
import { logEvidenceAbove, logEvidenceBelow, type Sample } from "./sequential/bernoulliMixture.js";
import { slowPrior, slowShareAt } from "./slowShare.js";
import type { Moments } from "./statistics/moments.js";

/** The quantile of a freezing. */
export interface Reference {
	readonly quantile: number;
	readonly referenceMs: number;
	/** 1, 2, 3 … */
	readonly era: number;
	/** Whether a grid of thresholds was frozen with it. */
	readonly grid: boolean;
}

/** Multiple of the odds of 1 − q, beyond which a verdict would be about another quantile. */
const BAND = 4;

/** Gross harm needs no proof about the baseline while its observed odds are within this multiple. */
const GROSS = 8;

/** Beyond this multiple the baseline has moved. A quantile frozen from the minimum of requests is well within it. */
const MOVED = 3;

/** Error rate of a false "moved" in an era, half on each side. */
const MOVED_ALPHA = 0.01;

/**
 * An era's share of a claim's level: 3/4, 1/8, 1/24, 1/48, … Most experiments have only one era; the later shares decrease
 * slowly for baselines that move every day.
 */
export function eraShare(era: number): number {
	return era <= 1 ? 0.75 : 0.25 / ((era - 1) * era);
}

/** The shares between which the baseline counts as unchanged. */
export function unmovedShares(quantile: number): { readonly from: number; readonly to: number } {
	return { from: slowShareAt(quantile, 1 / MOVED), to: slowShareAt(quantile, MOVED) };
}

/** Whether the baseline is proved to have moved since the freezing, and in which direction. Anytime-valid. */
export function baselineMoved({ quantile }: Reference, baseline: Moments): "slower" | "faster" | null {
	const bar = -Math.log(MOVED_ALPHA / 2);
	const sample = sampleOf(baseline);
	const { from, to } = unmovedShares(quantile);
	if (baseline.mean > to) return logEvidenceAbove(sample, to, slowPrior(quantile)) >= bar ? "slower" : null;
	return logEvidenceBelow(sample, from, slowPrior(quantile)) >= bar ? "faster" : null;
}

/** Question of a claim about its thresholds. */
type AtThresholds = Omit<GridQuestion, "quantile">;

/** Whether a pass at the thresholds is valid for the quantile; without a grid for one near it, t ≤ hi and c ≥ lo. */
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

/** Whether a larger share of slow requests would be harm, in all units or a segment. null = no thresholds that can move. */
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

/** Whether harm at the thresholds is valid near the quantile: t > lo, and the observed c not far above hi. */
function harmIsNear({ quantile }: Reference, challenger: Moments, baseline: Moments, harmAlpha: number): boolean {
	if (!(baseline.mean < slowShareAt(quantile, GROSS))) return false;
	const logE = logEvidenceAbove(sampleOf(challenger), slowShareAt(quantile, 1 / BAND), slowPrior(quantile));
	return logE >= -Math.log(harmAlpha);
}

const gridOf = ({ n, slow = [] }: MetricEvidence) => ({ n, slow });

function sampleOf({ n, mean }: Moments): Sample {
	return { n, sum: n * mean };
}
