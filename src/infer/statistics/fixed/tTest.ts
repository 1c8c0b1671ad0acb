/**
 * Fixed-horizon tests. For repeated looks use sequential/ and groupSequential/.
 *
 * For means this is Welch's t test: difference() of two meanLevels gives the Welch–Satterthwaite degrees of freedom; infinitely
 * many mean the normal distribution. P-values are computed as survival functions, because 1 − cdf is 0 from z = 8.3 on. Their
 * logarithm is given too, for values below a double's range.
 */
import { logTSf, tIsf, tSf, tTwoSidedP } from "../distributions/studentT.js";
import type { Estimate, NoEstimate } from "../estimators/estimate.js";

export type Alternative = "two-sided" | "greater" | "less";

/**
 * The null value and alternative. The margin of a non-inferiority test is the null value: greater than −margin where more is better,
 * less than +margin where less is better.
 */
export interface Hypothesis {
	/** greater: the value is above nullValue. */
	readonly alternative: Alternative;
	readonly nullValue: number;
	/** Level of the test, and 1 − coverage of the interval. */
	readonly alpha: number;
}

export interface FixedTest {
	/** (value − nullValue) ÷ standard error. */
	readonly statistic: number;
	/** null = normal. */
	readonly degreesOfFreedom: number | null;
	readonly pValue: number;
	readonly logPValue: number;
	/** All null values that the same test at alpha does not reject; null = no bound on this side. */
	readonly lower: number | null;
	readonly upper: number | null;
}

export function tTest(estimate: Estimate, hypothesis: Hypothesis): FixedTest | NoEstimate {
	const problem = problemOfHypothesis(hypothesis);
	if (problem !== "") return { reason: problem };
	const { value, variance, degreesOfFreedom } = estimate;
	const error = Math.sqrt(variance);
	const statistic = (value - hypothesis.nullValue) / error;
	if (!(error > 0) || !Number.isFinite(statistic)) return { reason: "the standard error is not a positive number" };
	if (!(degreesOfFreedom > 0)) return { reason: "there are no degrees of freedom" };
	const { alternative, alpha } = hypothesis;
	const reach = tIsf(alternative === "two-sided" ? alpha / 2 : alpha, degreesOfFreedom) * error;
	return {
		statistic,
		degreesOfFreedom: Number.isFinite(degreesOfFreedom) ? degreesOfFreedom : null,
		...pValuesOf(statistic, degreesOfFreedom, alternative),
		lower: alternative === "less" ? null : value - reach,
		upper: alternative === "greater" ? null : value + reach,
	};
}

/** p and ln p of a statistic with Student's distribution under the null; infinitely many degrees = normal. */
export function pValuesOf(
	statistic: number,
	degreesOfFreedom: number,
	alternative: Alternative,
): { readonly pValue: number; readonly logPValue: number } {
	if (alternative === "two-sided") {
		const far = Math.abs(statistic);
		return {
			pValue: tTwoSidedP(far, degreesOfFreedom),
			logPValue: Math.min(0, Math.LN2 + logTSf(far, degreesOfFreedom)),
		};
	}
	const turned = alternative === "greater" ? statistic : 0 - statistic;
	return { pValue: tSf(turned, degreesOfFreedom), logPValue: Math.min(0, logTSf(turned, degreesOfFreedom)) };
}

/** Why this cannot be tested; empty = it can. */
export function problemOfHypothesis({ nullValue, alpha }: Hypothesis): string {
	if (!Number.isFinite(nullValue)) return `the null value is ${nullValue}`;
	return alpha > 0 && alpha < 1 ? "" : `alpha is ${alpha}, not between 0 and 1`;
}
