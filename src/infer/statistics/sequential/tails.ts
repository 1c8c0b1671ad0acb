/**
 * Whether the units seen so far can carry a claim about means. A confidence sequence for means presumes that their sum is
 * nearly normal, and no law of large numbers gives the sample size for that: with heavy tails the mean of most samples lies on one side
 * of the truth, and so does their standard deviation, for the few units that would have brought both up are not there.
 *
 * What a sample can show of it is how much of its spread one unit has. A claim is made only where no unit moves the estimate
 * by more than UNIT_PULL_MAX standard errors, that is where none has more than 4 % of the estimate's variance. (The same ratio
 * bounds the sample's own skewness, and with it the first term by which the law of the estimate differs from the normal
 * one: Σ|d|³ ≤ max|d|·Σd²; Lyapunov's condition, and Lindeberg's.) Arms of one law cancel each other's skewness and would
 * need less, but it is not known beforehand that they are of one law.
 *
 * Values that no unit has had so far cannot be detected: a sample of two thousand does not show something that comes once
 * in ten thousand units and outweighs them all. An operator who expects such values declares a range.
 */
import type { Estimate, Level } from "../estimators/estimate.js";
import type { MetricEvidence } from "../evidence.js";
import { packedIndex } from "../statistics/coMoments.js";
import { type Extremes, farthest } from "../statistics/extremes.js";

/**
 * Chosen by simulation, at levels of 5 % and 0.5 %: at 0.3 normal values against lognormal ones of σ 2 err in 4.7 % and 2.3 % of
 * the experiments, at 0.25 in 1.4 % and 0.8 %, at 0.2 in none of 1,000. `npm run calibrate` has them among its scenarios.
 */
export const UNIT_PULL_MAX = 0.2;

/** Down to this level; the lower one is, the fewer samples that lack their tail it can bear. */
const MEASURED_LEVEL = 0.005;

/**
 * At a claim's level: below 0.5 % less, as ln(0.005) ÷ ln(alpha). At 0.125 % and 0.05 % lognormal values of σ 1.5 against
 * normal ones err in 0.06 % and 0.02 % of 10,000 experiments by the number above, in none by this.
 */
export function unitPullMax(alpha: number): number {
	return UNIT_PULL_MAX * Math.min(1, Math.log(MEASURED_LEVEL) / Math.log(alpha));
}

/**
 * By how many standard errors the heaviest unit of either arm moves the estimate. Each of several variables (denominators,
 * covariates) counts by itself. NaN where no sample has these extremes; null if they are unknown
 * (a plan without data).
 */
export function heaviestPull(
	{ variance, contrast }: Pick<Estimate, "variance" | "contrast">,
	challenger: MetricEvidence,
	baseline: MetricEvidence,
): number | null {
	if (challenger.extremes === undefined || baseline.extremes === undefined) return null;
	const { base, pull } = contrast;
	const t = movedBy(contrast.challenger, base, 0, challenger, challenger.extremes);
	const c = movedBy(contrast.baseline, base, pull, baseline, baseline.extremes);
	return Math.max(t, c) / Math.sqrt(variance);
}

/** By how much the heaviest unit of an arm moves its level ÷ base + pull·(its raw level). */
function movedBy(
	{ gradient, rawGradient }: Level,
	base: number,
	pull: number,
	arm: MetricEvidence,
	extremes: readonly Extremes[],
): number {
	const { n, co } = arm;
	let most = 0;
	for (let i = 0; i < gradient.length; i++) {
		const own = extremes[i];
		if (own === undefined) return Number.NaN;
		const mean = co === undefined ? arm.mean : (co.means[i] ?? Number.NaN);
		const m2 = co === undefined ? arm.m2 : (co.m2[packedIndex(i, i)] ?? Number.NaN);
		const slope = (gradient[i] ?? 0) / base + pull * (rawGradient[i] ?? 0);
		most = Math.max(most, (Math.abs(slope) * farthest(own, n, mean, m2)) / n);
	}
	return most;
}

/** Why the tails are too heavy for a claim about means; empty = they are not. */
export function tailsProblem(
	estimate: Pick<Estimate, "variance" | "contrast">,
	challenger: MetricEvidence,
	baseline: MetricEvidence,
	alpha: number,
): string {
	const most = unitPullMax(alpha);
	const pull = heaviestPull(estimate, challenger, baseline);
	if (pull === null || pull <= most) return "";
	if (Number.isNaN(pull)) return "the least and greatest values are none that such units can have";
	const [seen, sound] = [Math.ceil(1_000 * pull) / 1_000, Number(most.toFixed(3))];
	return `tails too heavy for a result: one unit moves the result by ${seen} standard errors, at most ${sound} is sound; more units may do, or a Metric with a range or a cap`;
}
