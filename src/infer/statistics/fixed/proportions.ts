/**
 * Two proportions, looked at once: the score test of their difference or their ratio, with any margin as null value,
 * and the interval of all values that it does not reject.
 *
 * The standard error is taken where the null holds: at the most likely pair of proportions with exactly the null value
 * (differences: Farrington & Manning, "Test statistics and sample size formulae for comparative binomial trials with null
 * hypothesis of non-zero risk difference", 1990, for the null 0 the usual pooled z test; ratios: Koopman, "Confidence
 * intervals for the ratio of two binomial proportions", 1984). So it does not collapse
 * at no events, as p(1 − p)/n does: none in 1,900 requests of either arm are evidence against a difference of 0.2
 * points. It is the normal law all the same: with a handful of events use the exact mixtures of sequential/.
 */
import { normalIsf } from "../distributions/normal.js";
import { rootOf } from "../distributions/root.js";
import type { NoEstimate } from "../estimators/estimate.js";
import {
	type Contrast,
	challengerOn,
	logLikelihood,
	mostLikelyOn,
	type Sample,
	segment,
} from "../sequential/bernoulliArms.js";
import { type FixedTest, type Hypothesis, problemOfHypothesis, pValuesOf } from "./tTest.js";

/** Events among n units. */
export interface EventCount {
	readonly n: number;
	readonly events: number;
}

/**
 * Of the events of a small arm against a large one, which makes the normal law err: whether the statistic is corrected for
 * it. Arms of one size need no correction. "corrected" needs 10 events or more, and as many units without one, in each arm:
 * callers see to it (EVENTS_MIN); with fewer the correction is larger than what it corrects.
 */
export type Skewness = "ignored" | "corrected";

/** A family of null lines, and between which of them a value can lie. */
interface Family {
	readonly line: (value: number) => Contrast;
	readonly from: number;
	readonly to: number;
}

/** Ratios beyond it are told as it: a baseline without events bounds none. */
export const RATIO_MAX = 1e6;

const FAMILIES = {
	/** challenger − baseline */
	difference: { line: (offset: number) => ({ slope: 1, offset }), from: -1, to: 1 },
	/** challenger ÷ baseline */
	ratio: { line: (slope: number) => ({ slope, offset: 0 }), from: 0, to: RATIO_MAX },
} as const satisfies Readonly<Record<string, Family>>;

/** Tests challenger against baseline, as a difference or as a ratio. */
export function proportionsTest(
	challenger: EventCount,
	baseline: EventCount,
	hypothesis: Hypothesis,
	scale: keyof typeof FAMILIES = "difference",
	skewness: Skewness = "ignored",
): FixedTest | NoEstimate {
	const { alternative, nullValue, alpha } = hypothesis;
	const family = FAMILIES[scale];
	const problem =
		problemOfHypothesis(hypothesis) || problemOf("challenger", challenger) || problemOf("baseline", baseline);
	if (problem !== "") return { reason: problem };
	if (!(nullValue >= family.from && nullValue < family.to && nullValue !== -1))
		return { reason: `a ${scale} of ${nullValue} between proportions cannot be` };
	const statistic = scoreStatistic(challenger, baseline, family.line(nullValue), skewness);
	if (!Number.isFinite(statistic)) return { reason: "all units are alike in both arms: there is nothing to test" };
	const critical = normalIsf(alternative === "two-sided" ? alpha / 2 : alpha);
	const bound = (side: 1 | -1): number =>
		skewness === "ignored"
			? edge(challenger, baseline, 0 + side * critical, family)
			: correctedEdge(challenger, baseline, 0 + side * critical, family, side, nullValue);
	return {
		statistic,
		degreesOfFreedom: null,
		...pValuesOf(statistic, Number.POSITIVE_INFINITY, alternative),
		lower: alternative === "less" ? null : bound(1),
		upper: alternative === "greater" ? null : bound(-1),
	};
}

/** (challenger − the line's at the baseline) ÷ its standard error where the line holds; NaN where that is nowhere. */
export function scoreStatistic(
	challenger: EventCount,
	baseline: EventCount,
	line: Contrast,
	skewness: Skewness = "ignored",
): number {
	const ends = segment(line);
	if (ends === null) return Number.NaN;
	const sample = ({ n, events }: EventCount): Sample => ({ n, sum: events });
	const [t, c] = [sample(challenger), sample(baseline)];
	// Newton's method comes near an end of the segment; where the end itself is likeliest nothing varies, and that counts.
	const likely = (at: number): number => logLikelihood(t, challengerOn(line, at)) + logLikelihood(c, at);
	const found = mostLikelyOn(t, c, line, ends);
	const q = [ends.lo, ends.hi].reduce((best, end) => (likely(end) >= likely(best) ? end : best), found);
	const p = challengerOn(line, q);
	const { slope, offset } = line;
	const variance = (p * (1 - p)) / t.n + (slope * slope * q * (1 - q)) / c.n;
	const z = (t.sum / t.n - slope * (c.sum / c.n) - offset) / Math.sqrt(Math.max(0, variance));
	if (skewness === "ignored") return z;
	const third = (one: number, n: number): number => (one * (1 - one) * (1 - 2 * one)) / n / n;
	return normalised(z, (third(p, t.n) - slope ** 3 * third(q, c.n)) / variance ** 1.5);
}

/**
 * Of a statistic with this skewness what is normal but for terms of the second order: z − γ(z² − 1)/6 (Gart & Nam, "Approximate
 * interval estimation of the ratio of binomial parameters: a review and corrections for skewness", Biometrics 44, 1988), with
 * Hall's cubic term, by which it rises with z for a fixed γ ("On the removal of skewness by transformation", JRSS B 54, 1992);
 * along null values γ changes too, and it need not.
 */
function normalised(z: number, skewness: number): number {
	const found = z - (skewness * (z * z - 1)) / 6 + (skewness * skewness * z ** 3) / 108;
	// At the ends nothing varies: z is infinite, or the skewness is.
	return Number.isNaN(found) && z !== 0 ? z * Number.POSITIVE_INFINITY : found;
}

/** No statistic of a real sample is larger; the root search wants finite numbers. */
const STATISTIC_MAX = 1e6;

/** By how much the statistic exceeds `critical`, by null value. */
function distanceTo(
	challenger: EventCount,
	baseline: EventCount,
	critical: number,
	{ line }: Family,
	skewness: Skewness,
): (nullValue: number) => number {
	return (nullValue) => {
		const statistic = scoreStatistic(challenger, baseline, line(nullValue), skewness);
		if (Number.isNaN(statistic)) return 0 - critical;
		return Math.max(-STATISTIC_MAX, Math.min(STATISTIC_MAX, statistic)) - critical;
	};
}

/** The value at which the statistic, not corrected, equals `critical`: it falls from +∞ to −∞ as the null value grows. */
function edge(challenger: EventCount, baseline: EventCount, critical: number, family: Family): number {
	const { from, to } = family;
	const distance = distanceTo(challenger, baseline, critical, family, "ignored");
	if (distance(from) <= 0) return from;
	if (distance(to) >= 0) return to;
	return rootOf(distance, from, to, 1e-14);
}

/**
 * Corrected, the statistic need not fall as the null value grows, for the skewness changes with it. So the bound is the edge of
 * the values around the estimate that are not rejected; where the null value lies beyond and is not rejected either, of those
 * around it. A bound lies beyond the null value exactly where that is rejected.
 * @param side 1: the lower bound; −1: the upper one
 */
function correctedEdge(
	challenger: EventCount,
	baseline: EventCount,
	critical: number,
	family: Family,
	side: 1 | -1,
	nullValue: number,
): number {
	const distance = distanceTo(challenger, baseline, critical, family, "corrected");
	const isRejected = (value: number): boolean => side * distance(value) >= 0;
	const unit = Math.max(Math.abs(critical), 1) / EDGE_STEPS;
	/** The first edge outwards, in steps of the statistic that is not corrected. */
	const outwards = (start: number): number => {
		if (isRejected(start)) return start;
		const z = distanceTo(challenger, baseline, 0, family, "ignored")(start);
		let near = start;
		for (let away = unit; ; away += Math.max(unit, away / 8)) {
			const next = edge(challenger, baseline, z + side * away, family);
			// Not past the null value: its verdict is known.
			const far = side * (near - nullValue) > 0 && side * (nullValue - next) > 0 ? nullValue : next;
			if (isRejected(far)) return rootOf(distance, Math.min(near, far), Math.max(near, far), 1e-14);
			if (far === family.from || far === family.to) return far;
			near = far;
		}
	};
	const found = outwards(edge(challenger, baseline, 0, family));
	if (isRejected(nullValue)) return side * (found - nullValue) < 0 ? nullValue : found;
	return side * (found - nullValue) < 0 ? found : outwards(nullValue);
}

/** Of a critical value: how finely an edge is looked for. */
const EDGE_STEPS = 16;

function problemOf(arm: string, { n, events }: EventCount): string {
	if (!Number.isSafeInteger(n) || n < 0) return `the ${arm}'s units are ${n}, not a count`;
	if (n === 0) return `the ${arm} has no units`;
	if (!Number.isSafeInteger(events) || events < 0) return `the ${arm}'s events are ${events}, not a count`;
	return events > n ? `the ${arm} has more events than units` : "";
}
