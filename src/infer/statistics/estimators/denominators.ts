/**
 * Whether the denominators of a ratio are known well enough for a claim about it. The ratio is linearised in its
 * denominator's mean D̂, and 1/D̂ is skewed where D̂ is uncertain: with by chance more of seldom denominators, as in cost per
 * conversion, a small arm's ratio is smaller, and so is the standard error that is taken there. Arms of one size and law
 * cancel each other's skewness; a twentieth against the rest does not.
 */
import type { MetricEvidence } from "../evidence.js";
import { type CoMoments, packedIndex } from "../statistics/coMoments.js";

/**
 * Standard errors that each arm's mean denominator must lie from 0: of events that come once to a unit or not at all, a
 * hundred. Chosen by simulation: costs of equal law, 0.4 % or 2 % of the units convert, a challenger with a twentieth of the
 * baseline's units, 45 looks from 2,000 units on, 60,000 runs. It was falsely below the baseline, at most, with
 *
 * | level    | 8       | 10      | 12      | 14      | 16      |
 * |----------|---------|---------|---------|---------|---------|
 * | 1.25 %   | 0.94 %  | 0.59 %  | 0.40 %  | 0.29 %  | 0.22 %  |
 * | 0.25 %   | 0.32 %  | 0.17 %  | 0.11 %  | 0.08 %  | 0.07 %  |
 * | 0.05 %   | 0.11 %  | 0.06 %  | 0.03 %  | 0.02 %  | 0.01 %  |
 * | 0.005 %  | 0.030 % | 0.015 % | 0.007 % | 0.003 % | 0.003 % |
 *
 * (without it 0.95 % at 0.25 %). `npm run calibrate` has such among its scenarios.
 */
export const DENOMINATOR_Z_MIN = 10;

/** Down to this level. */
const MEASURED_LEVEL = 0.0025;

/** At a claim's level: below 0.25 % more, as ln(alpha) ÷ ln(0.0025), for the skewness shows in the tail. */
export function denominatorZMin(alpha: number): number {
	return DENOMINATOR_Z_MIN * Math.max(1, Math.log(alpha) / Math.log(MEASURED_LEVEL));
}

/** By how many standard errors the mean of variable i lies from 0; infinite where it does not vary, NaN without units. */
export function meanZ({ n, means, m2 }: CoMoments, i: number): number {
	const mean = Math.abs(means[i] ?? Number.NaN);
	const error = Math.sqrt((m2[packedIndex(i, i)] ?? Number.NaN) / (n - 1) / n);
	return mean === 0 ? 0 : mean / error;
}

/** Why a claim about a ratio cannot be told from so little in its denominator, or empty. */
export function denominatorProblem(challenger: MetricEvidence, baseline: MetricEvidence, alpha: number): string {
	const least = denominatorZMin(alpha);
	for (const [name, { co }] of [["challenger", challenger] as const, ["baseline", baseline] as const]) {
		const z = co === undefined ? Number.NaN : meanZ(co, 1);
		if (co === undefined || z >= least) continue;
		const sum = Math.abs(co.n * (co.means[1] ?? Number.NaN));
		const more = Math.ceil(sum * ((least / z) ** 2 - 1));
		return `the denominators are too few to tell: they add up to ${round(sum)} in the ${name}, about ${round(more)} more are needed there`;
	}
	return "";
}

const round = (value: number): number => Number(value.toPrecision(4));
