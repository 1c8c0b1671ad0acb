/**
 * Two proportions in a fixed-horizon test: the score test of their difference or ratio, with any margin as null value, and the
 * interval of all values that it does not reject.
 *
 * The standard error is computed under the null: at the most likely pair of proportions with exactly the null value
 * (differences: Farrington & Manning, "Test statistics and sample size formulae for comparative binomial trials with null
 * hypothesis of non-zero risk difference", 1990, for the null 0 the usual pooled z test; ratios: Koopman, "Confidence
 * intervals for the ratio of two binomial proportions", 1984). So it does not collapse
 * at no events, as p(1 − p)/n does: none in 1,900 requests of either arm are evidence against a difference of 0.2
 * points. It is still a normal approximation: with few events use the exact mixtures of sequential/.
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
 * Whether the statistic is corrected for the skewness of a small arm against a large one. Arms of equal size need no
 * correction. "corrected" needs at least 10 units with and without an event in each arm, which callers check (EVENTS_MIN);
 * with fewer the correction is larger than the error.
 */
export type Skewness = "ignored" | "corrected";

/** A family of null lines and the range of its values. */
interface Family {
	readonly line: (value: number) => Contrast;
	readonly from: number;
	readonly to: number;
}

/** Larger ratios are reported as this value: a baseline without events gives no upper bound. */
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

/** (challenger − the line at the baseline) ÷ its standard error under the null; NaN = the line is impossible. */
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
	// Newton's method only approaches an end of the segment; if the end is the most likely point, the variance is 0.
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
 * Corrects a statistic for skewness up to second-order terms: z − γ(z² − 1)/6 (Gart & Nam, "Approximate
 * interval estimation of the ratio of binomial parameters: a review and corrections for skewness", Biometrics 44, 1988), with
 * Hall's cubic term, which makes it monotone in z for a fixed γ ("On the removal of skewness by transformation", JRSS B 54, 1992); γ
 * also changes along null values, so it need not be monotone in them.
 */
function normalised(z: number, skewness: number): number {
	const found = z - (skewness * (z * z - 1)) / 6 + (skewness * skewness * z ** 3) / 108;
	// At the ends the variance is 0: z or the skewness is infinite.
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
 * The corrected statistic need not be monotone in the null value. So the bound is the edge of the unrejected values around the
 * estimate, or around the null value if that is farther out and not rejected. So the interval excludes the null value exactly
 * if the test rejects it.
 * @param side 1 = the lower bound; −1 = the upper one
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
	/** The first edge outwards, in steps of the uncorrected statistic. */
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

/** Precision of the search for an edge, as a share of the critical value. */
const EDGE_STEPS = 16;

function problemOf(arm: string, { n, events }: EventCount): string {
	if (!Number.isSafeInteger(n) || n < 0) return `the ${arm}'s units are ${n}, not a count`;
	if (n === 0) return `the ${arm} has no units`;
	if (!Number.isSafeInteger(events) || events < 0) return `the ${arm}'s events are ${events}, not a count`;
	return events > n ? `the ${arm} has more events than units` : "";
}
