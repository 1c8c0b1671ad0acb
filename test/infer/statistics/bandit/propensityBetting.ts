/**
 * Evidence that a challenger's mean exceeds the baseline's by more than d, from units whose arm was drawn with a known
 * chance that may change from batch to batch in any way that the past decides, while both means drift as they like.
 *
 * A unit with value Y in [0, 1], in the challenger with chance π (of the two arms), scores
 *
 *   Z = (Y − m)/π          in the challenger
 *   Z = −(Y − m)/(1 − π)   in the baseline,            E[Z | past] = μ_t − μ_c at that unit's time, for any fixed m.
 *
 * Under the null μ_t − μ_c ≤ d at all times, ∏(1 + λ(Z − d)) with 0 ≤ λ ≤ 1/(largest loss) is a non-negative
 * supermartingale, λ being fixed before the unit. Bets are fixed fractions of the largest that the batch's π allows, the
 * centre m one of a fixed grid; the uniform mixture over both is one e-process (Ville: it ever reaches 1/α with probability
 * at most α). A bet's capital depends on counts and sums of each batch and arm alone: for 0 and 1 exactly, for
 * shares ln(1 + λ(Z − d)) is concave in Y and so at least its chord, which is used: capital is only understated.
 *
 * The null is about the arms at one and the same time, so hours and weekdays cannot fake it. The price
 * against the Bernoulli mixture is that the arms' common level does not cancel: 1.1 to 1.25 times the units for
 * rates, 1.5 for failures of 0.1 % (test/infer/statistics/bandit/propensityBetting.test.ts).
 *
 * Sources: Waudby-Smith & Ramdas, arXiv 2010.09686 (betting, section 4); Waudby-Smith et al., arXiv 2210.10768 (propensity
 * scores under adaptive logging policies).
 */

import { logSumExp } from "../../../../src/infer/statistics/distributions/logSumExp.js";
import type { Sample, Side } from "../../../../src/infer/statistics/sequential/bernoulliArms.js";

/** Units of one allocation. Shares must have been set before the batch's first unit came. */
export interface PropensityBatch {
	/** Chance of the challenger among the two arms: live points ÷ live points of both; in (0, 1). */
	readonly propensity: number;
	readonly challenger: Sample;
	readonly baseline: Sample;
}

/** Fractions of the largest bet: each true effect has one within a factor 0.76 to 1.31, down to a 250th. */
const FRACTIONS: readonly number[] = Array.from({ length: 11 }, (_, index) => 0.9 * 0.58 ** index);

/** Centres: the nearer to the true level, the smaller the score's variance; closer together where levels are rare. */
const CENTRES: readonly number[] = [0.003, 0.02, 0.08, 0.25, 0.5, 0.75, 0.92, 0.98, 0.997];

/**
 * ln e for the claim μ_t > μ_c + offset ("above") or < ("below") at some time. 0 without data. Reject at level α
 * when it ever reaches ln(1/α). NaN where a propensity is not inside (0, 1).
 */
export function logPropensityEvidence(side: Side, batches: readonly PropensityBatch[], offset: number): number {
	const turned = side === "above" ? batches : batches.map(swapped);
	const d = side === "above" ? offset : -offset;
	const capitals = CENTRES.flatMap((centre) =>
		FRACTIONS.map((fraction) => turned.reduce((sum, batch) => sum + logCapital(batch, d, centre, fraction), 0)),
	);
	return logSumExp(capitals) - Math.log(capitals.length);
}

/** "t below c + d" is "c above t − d". */
function swapped({ propensity, challenger, baseline }: PropensityBatch): PropensityBatch {
	return { propensity: 1 - propensity, challenger: baseline, baseline: challenger };
}

function logCapital(batch: PropensityBatch, d: number, centre: number, fraction: number): number {
	const { propensity: chance, challenger, baseline } = batch;
	if (!(chance > 0 && chance < 1)) return Number.NaN;
	// The four values of Z − d; a share lies between those of its arm.
	const t1 = (1 - centre) / chance - d;
	const t0 = -centre / chance - d;
	const c1 = -(1 - centre) / (1 - chance) - d;
	const c0 = centre / (1 - chance) - d;
	const worst = Math.max(-t1, -t0, -c1, -c0);
	// If d is so low that every value is a gain, the null is impossible; bet nothing.
	if (!(worst > 0)) return 0;
	const bet = fraction / worst;
	return (
		challenger.sum * Math.log1p(bet * t1) +
		(challenger.n - challenger.sum) * Math.log1p(bet * t0) +
		baseline.sum * Math.log1p(bet * c1) +
		(baseline.n - baseline.sum) * Math.log1p(bet * c0)
	);
}
