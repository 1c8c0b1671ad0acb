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
): FixedTest | NoEstimate {
	const { alternative, nullValue, alpha } = hypothesis;
	const family = FAMILIES[scale];
	const problem =
		problemOfHypothesis(hypothesis) || problemOf("challenger", challenger) || problemOf("baseline", baseline);
	if (problem !== "") return { reason: problem };
	if (!(nullValue >= family.from && nullValue < family.to && nullValue !== -1))
		return { reason: `a ${scale} of ${nullValue} between proportions cannot be` };
	const statistic = scoreStatistic(challenger, baseline, family.line(nullValue));
	if (!Number.isFinite(statistic)) return { reason: "all units are alike in both arms: there is nothing to test" };
	const critical = normalIsf(alternative === "two-sided" ? alpha / 2 : alpha);
	return {
		statistic,
		degreesOfFreedom: null,
		...pValuesOf(statistic, Number.POSITIVE_INFINITY, alternative),
		lower: alternative === "less" ? null : edge(challenger, baseline, critical, family),
		upper: alternative === "greater" ? null : edge(challenger, baseline, 0 - critical, family),
	};
}

/** (challenger − the line's at the baseline) ÷ its standard error where the line holds; NaN where that is nowhere. */
export function scoreStatistic(challenger: EventCount, baseline: EventCount, line: Contrast): number {
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
	return (t.sum / t.n - slope * (c.sum / c.n) - offset) / Math.sqrt(Math.max(0, variance));
}

/** No statistic of a real sample is larger; the root search wants finite numbers. */
const STATISTIC_MAX = 1e6;

/** The value at which the statistic equals `critical`: it falls from +∞ to −∞ as the null value grows. */
function edge(challenger: EventCount, baseline: EventCount, critical: number, { line, from, to }: Family): number {
	const distance = (nullValue: number): number => {
		const statistic = scoreStatistic(challenger, baseline, line(nullValue));
		if (Number.isNaN(statistic)) return 0 - critical;
		return Math.max(-STATISTIC_MAX, Math.min(STATISTIC_MAX, statistic)) - critical;
	};
	if (distance(from) <= 0) return from;
	if (distance(to) >= 0) return to;
	return rootOf(distance, from, to, 1e-14);
}

function problemOf(arm: string, { n, events }: EventCount): string {
	if (!Number.isSafeInteger(n) || n < 0) return `the ${arm}'s units are ${n}, not a count`;
	if (n === 0) return `the ${arm} has no units`;
	if (!Number.isSafeInteger(events) || events < 0) return `the ${arm}'s events are ${events}, not a count`;
	return events > n ? `the ${arm} has more events than units` : "";
}
