/**
 * Sequential test of two arms' error rates from counts alone: of each error only the arm is asked. Exact at any count
 * and at all looks together, valid while the allocation moves, mergeable.
 *
 * Errors come as Poisson processes of rate (arm's share of the load)·λ_arm; the load itself may rise and fall as it
 * likes. Given that an error comes, it is the challenger's with probability
 *
 *   θ(r) = s·r / (s·r + 1 − s),      r = λ_t/λ_c,  s = the challenger's share of the two arms' load in that batch
 *
 * (Lindon & Malek, arXiv 2011.03567, section on competing Poisson processes). s is what assignment makes it, each batch
 * with its own. For the claim r > R the evidence is a mixture of likelihood ratios L(R·e^δ)/L(R), δ > 0 from a fixed
 * list. Per error the ratio is θ(r')/θ(R) > 1 for the challenger and (1 − θ(r'))/(1 − θ(R)) < 1 for the baseline; its
 * mean under any r ≤ R is at most 1, so it is a supermartingale under the whole null. ln L is concave in ln r, so
 * the evidence falls in R and a bound is one crossing.
 *
 * Errors must come independently: one person's retries, or one outage that hits many requests at once, do not. Where
 * that is to be feared, the exact test is the one on units (bernoulliMixture.ts). Whether more than two arms have one
 * rate is the test of srm.ts with errors in the place of exposures.
 */
import type { NoEstimate } from "../estimators/estimate.js";
import type { Side } from "./bernoulliArms.js";
import { type Bounds, RATIO_MAX } from "./bernoulliBounds.js";

/** Errors of a stretch of time in which the load was split in one ratio. */
export interface ErrorBatch {
	readonly challenger: number;
	readonly baseline: number;
	/** The challenger's expected share of the two arms' load, within (0, 1). */
	readonly share: number;
}

/** ln of the rate ratios that are bet on, beyond the line: from 0.2 % to a factor of some thousands. */
const STEPS: readonly number[] = Array.from({ length: 18 }, (_, index) => 0.002 * 1.65 ** index);
const LOG_WEIGHT = -Math.log(STEPS.length);

const PRECISION = 1e-9;

/**
 * ln e for the claim that the challenger's error rate is above (below) `ratio` times the baseline's; ratio > 0. It is what
 * rateRatioBounds() inverts, open to those who calibrate it.
 */
export function logRateEvidence(side: Side, batches: readonly ErrorBatch[], ratio: number): number | NoEstimate {
	const problem = problemOf(batches);
	if (problem !== "") return { reason: problem };
	if (!(ratio > 0 && ratio < Number.POSITIVE_INFINITY)) return { reason: `the ratio of rates is ${ratio}` };
	return evidenceAt(side, batches, ratio);
}

/** Confidence sequence of the ratio of error rates, each bound one-sided at alpha; [0, RATIO_MAX] without errors. */
export function rateRatioBounds(batches: readonly ErrorBatch[], alpha: number): Bounds | NoEstimate {
	const problem = problemOf(batches);
	if (problem !== "") return { reason: problem };
	if (!(alpha > 0 && alpha < 1)) return { reason: `alpha must lie between 0 and 1, it is ${alpha}` };
	const bar = -Math.log(alpha);
	const edge = Math.log(RATIO_MAX);
	// The farthest line, as a logarithm, that is still proved; on the way from one edge to the other.
	const lastProved = (side: Side): number | null => {
		const sign = side === "above" ? 1 : -1;
		const proved = (x: number): boolean => evidenceAt(side, batches, Math.exp(sign * x)) >= bar;
		if (!proved(-edge)) return null;
		let good = -edge;
		let bad = edge;
		while (bad - good > PRECISION) {
			const middle = (good + bad) / 2;
			if (proved(middle)) good = middle;
			else bad = middle;
		}
		return sign * good;
	};
	const lower = lastProved("above");
	const upper = lastProved("below");
	return { lower: lower === null ? 0 : Math.exp(lower), upper: upper === null ? RATIO_MAX : Math.exp(upper) };
}

function evidenceAt(side: Side, batches: readonly ErrorBatch[], ratio: number): number {
	const sign = side === "above" ? 1 : -1;
	const logs = STEPS.map((step) => {
		const delta = sign * step;
		let log = LOG_WEIGHT;
		for (const { challenger, baseline, share } of batches) {
			// ln of (s·r·e^δ + 1 − s)/(s·r + 1 − s), without cancellation.
			const growth = Math.log1p((share * ratio * Math.expm1(delta)) / (share * ratio + 1 - share));
			log += challenger * delta - (challenger + baseline) * growth;
		}
		return log;
	});
	const top = Math.max(...logs);
	return top + Math.log(logs.reduce((sum, log) => sum + Math.exp(log - top), 0));
}

function problemOf(batches: readonly ErrorBatch[]): string {
	for (const { challenger, baseline, share } of batches) {
		for (const count of [challenger, baseline])
			if (!(count >= 0 && count < Number.POSITIVE_INFINITY)) return `a count of errors is ${count}`;
		if (!(share > 0 && share < 1)) return `an arm's share of the load is ${share}: it must lie between 0 and 1`;
	}
	return "";
}
