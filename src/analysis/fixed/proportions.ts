/**
 * Two proportions, looked at once: the score test of their difference, with any margin as null value, and the interval
 * of all differences that it does not reject.
 *
 * The standard error is taken where the null holds: at the most likely pair of proportions with exactly the null
 * difference (Farrington & Manning, "Test statistics and sample size formulae for comparative binomial trials with null
 * hypothesis of non-zero risk difference", 1990; for the null 0 it is the usual pooled z test). So it does not collapse
 * at no events, as p(1 − p)/n does: none in 1,900 requests of either arm are evidence against a difference of 0.2
 * points. It is the normal law all the same: with a handful of events use the exact mixtures of sequential/.
 */
import { normalIsf } from "../distributions/normal.js";
import { rootOf } from "../distributions/root.js";
import type { NoEstimate } from "../estimators/estimate.js";
import { type FixedTest, type Hypothesis, problemOfHypothesis, pValuesOf } from "./tTest.js";

/** Events among n units. */
export interface EventCount {
	readonly n: number;
	readonly events: number;
}

/** Tests challenger − baseline. */
export function proportionsTest(
	challenger: EventCount,
	baseline: EventCount,
	hypothesis: Hypothesis,
): FixedTest | NoEstimate {
	const { alternative, nullValue, alpha } = hypothesis;
	const problem =
		problemOfHypothesis(hypothesis) || problemOf("challenger", challenger) || problemOf("baseline", baseline);
	if (problem !== "") return { reason: problem };
	if (!(Math.abs(nullValue) < 1)) return { reason: `a difference of ${nullValue} between proportions cannot be` };
	const statistic = scoreStatistic(challenger, baseline, nullValue);
	if (!Number.isFinite(statistic)) return { reason: "all units are alike in both arms: there is nothing to test" };
	const critical = normalIsf(alternative === "two-sided" ? alpha / 2 : alpha);
	return {
		statistic,
		degreesOfFreedom: null,
		...pValuesOf(statistic, Number.POSITIVE_INFINITY, alternative),
		lower: alternative === "less" ? null : edge(challenger, baseline, critical),
		upper: alternative === "greater" ? null : edge(challenger, baseline, 0 - critical),
	};
}

/** (difference − null) ÷ its standard error under the null. */
function scoreStatistic(challenger: EventCount, baseline: EventCount, nullValue: number): number {
	const p = restricted(challenger, baseline, nullValue);
	const q = p - nullValue;
	const variance = (p * (1 - p)) / challenger.n + (q * (1 - q)) / baseline.n;
	return (
		(challenger.events / challenger.n - baseline.events / baseline.n - nullValue) / Math.sqrt(Math.max(0, variance))
	);
}

/** The most likely proportion of the challenger if it exceeds the baseline's by exactly `gap`. */
function restricted(challenger: EventCount, baseline: EventCount, gap: number): number {
	let [lower, upper] = [Math.max(0, gap), Math.min(1, 1 + gap)];
	// The slope of the log-likelihood falls from edge to edge; bisection stands its infinities, and the closed form of
	// the cubic loses half the digits where two of its roots meet.
	if (slope(challenger, baseline, gap, lower) <= 0) return lower;
	if (slope(challenger, baseline, gap, upper) >= 0) return upper;
	for (let step = 0; step < 100; step++) {
		const middle = (lower + upper) / 2;
		if (middle === lower || middle === upper) break;
		if (slope(challenger, baseline, gap, middle) > 0) lower = middle;
		else upper = middle;
	}
	return (lower + upper) / 2;
}

function slope(challenger: EventCount, baseline: EventCount, gap: number, p: number): number {
	const q = p - gap;
	return (
		share(challenger.events, p) -
		share(challenger.n - challenger.events, 1 - p) +
		share(baseline.events, q) -
		share(baseline.n - baseline.events, 1 - q)
	);
}

/** 0 events pull nowhere, even at an edge. */
function share(events: number, p: number): number {
	return events === 0 ? 0 : events / Math.max(0, p);
}

/** No statistic of a real sample is larger; the root search wants finite numbers. */
const STATISTIC_MAX = 1e6;

/** The difference at which the statistic equals `critical`: it falls from +∞ to −∞ as the null value grows. */
function edge(challenger: EventCount, baseline: EventCount, critical: number): number {
	const distance = (nullValue: number): number => {
		const statistic = scoreStatistic(challenger, baseline, nullValue);
		if (Number.isNaN(statistic)) return 0 - critical;
		return Math.max(-STATISTIC_MAX, Math.min(STATISTIC_MAX, statistic)) - critical;
	};
	const [from, to] = [-1, 1];
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
