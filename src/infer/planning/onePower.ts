/**
 * The power of a single planned look, by the statistic of the look itself.
 *
 * - Shares: exactly, over all pairs of counts, while the larger standard deviation of a count is at most COUNT_SD_MAX.
 * - Means: by the noncentral t with Welch's degrees of freedom, where jStat is right (up to 2e4 of them): exact for normal
 *   values in arms of equal size and variance, else within 0.02 points of the result with pooled degrees.
 * - Else by the normal distribution: within 0.3 points of the exact power if each arm has 100 units with and without the
 *   event, and within 0.6 points from 20 on (test/infer/planning/onePower.test.ts).
 */

import { JSTAT_NONCENTRALITY_MAX, JSTAT_SIZE_MAX, jstatNoncentralTCdf } from "../statistics/distributions/jstat.js";
import { lnGamma } from "../statistics/distributions/lnGamma.js";
import { normalSf } from "../statistics/distributions/normal.js";
import { tIsf } from "../statistics/distributions/studentT.js";
import { scoreStatistic } from "../statistics/fixed/proportions.js";
import { EVENTS_MIN } from "../statistics/plannedLook.js";
import { signOf } from "../statistics/question.js";
import { contrastOf, distanceOf, fixedDesign, type PlanMetric, treatedMean } from "./planMetric.js";
import type { ArmWeights } from "./sequential.js";

export interface LookPower {
	readonly power: number;
	readonly by: "counts" | "noncentral t" | "normal law";
}

/** Above it the sum over counts takes too long. */
const COUNT_SD_MAX = 300;

/** Beyond so many standard deviations of a count the probability is below 1e-14. */
const REACH = 8;

/** @param units of both arms. @param z the look's boundary, one-sided at alpha */
export function onePower(
	metric: PlanMetric,
	{ alpha, z }: { readonly alpha: number; readonly z: number },
	shares: ArmWeights,
	units: number,
): LookPower {
	const { believed } = metric;
	const all = shares.challenger + shares.baseline;
	const [nT, nC] = [Math.round((units * shares.challenger) / all), Math.round((units * shares.baseline) / all)];
	const { varianceT, varianceC, errorRatio = 1 } = fixedDesign(metric, alpha, shares, believed);
	const shift = distanceOf(metric, believed) / Math.sqrt(varianceT / nT + varianceC / nC);
	if (metric.metric.spec.type === "rate") {
		const [pT, pC] = [treatedMean(metric, believed), metric.baselineMean];
		if (!(pT >= 0 && pT <= 1)) return { power: 0, by: "counts" };
		const sd = Math.sqrt(Math.max(nT * pT * (1 - pT), nC * pC * (1 - pC)));
		if (sd <= COUNT_SD_MAX) return { power: countsPower(metric, z, [nT, pT], [nC, pC]), by: "counts" };
	}
	const [a, b] = [varianceT / nT, varianceC / nC];
	const freedom = (a + b) ** 2 / (a ** 2 / (nT - 1) + b ** 2 / (nC - 1));
	const isMean = metric.metric.spec.type === "mean";
	if (isMean && freedom >= 3 && freedom <= JSTAT_SIZE_MAX && shift >= 0 && shift <= JSTAT_NONCENTRALITY_MAX)
		return { power: 1 - jstatNoncentralTCdf(tIsf(alpha, freedom), freedom, shift), by: "noncentral t" };
	return { power: normalSf(z * errorRatio - shift), by: "normal law" };
}

type Arm = readonly [n: number, p: number];

/** Sums over the baseline's counts; for each one, all challenger counts from a threshold on prove the goal. */
function countsPower(metric: PlanMetric, z: number, [nT, pT]: Arm, [nC, pC]: Arm): number {
	const up = signOf(metric.metric) === 1;
	const line = contrastOf(metric);
	// Counts the better outcome: units without the event if less is better.
	const challenger = countLaw(nT, up ? pT : 1 - pT);
	const baseline = countLaw(nC, pC);
	const proved = (good: number, events: number): boolean => {
		const score = scoreStatistic({ n: nT, events: up ? good : nT - good }, { n: nC, events }, line, "corrected");
		return (up ? score : 0 - score) >= z;
	};
	// Outside of this range a look has no statistic.
	const from = Math.max(challenger.from, EVENTS_MIN);
	const end = Math.min(challenger.to, nT - EVENTS_MIN);
	let first = from;
	let power = 0;
	for (let events = Math.max(baseline.from, EVENTS_MIN); events <= Math.min(baseline.to, nC - EVENTS_MIN); events++) {
		while (first > from && proved(first - 1, events)) first--;
		while (first <= end && !proved(first, events)) first++;
		if (first <= end) power += baseline.mass(events) * (challenger.above(first) - challenger.above(end + 1));
	}
	return Math.min(1, power);
}

/** The binomial distribution where it is not negligible. */
interface CountLaw {
	readonly from: number;
	readonly to: number;
	readonly mass: (count: number) => number;
	/** Probability of this count or more. */
	readonly above: (count: number) => number;
}

function countLaw(n: number, p: number): CountLaw {
	const reach = REACH * Math.sqrt(n * p * (1 - p)) + REACH;
	const [from, to] = [Math.max(0, Math.floor(n * p - reach)), Math.min(n, Math.ceil(n * p + reach))];
	const masses = new Float64Array(to - from + 2);
	const tails = new Float64Array(to - from + 2);
	const choose = lnGamma(n + 1);
	for (let count = to; count >= from; count--) {
		const log =
			choose -
			lnGamma(count + 1) -
			lnGamma(n - count + 1) +
			(count === 0 ? 0 : count * Math.log(p)) +
			(count === n ? 0 : (n - count) * Math.log1p(-p));
		masses[count - from] = Math.exp(log);
		tails[count - from] = (tails[count - from + 1] ?? 0) + Math.exp(log);
	}
	return {
		from,
		to,
		mass: (count) => masses[count - from] ?? 0,
		above: (count) => tails[Math.max(0, count - from)] ?? 0,
	};
}
