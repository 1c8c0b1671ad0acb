/**
 * The one-sample beta-binomial martingale for a share p that is known exactly, such as a quantile's 1 − q: with a prior
 * centred at p it is tightest at a declared n, and truncated to one side of p it pays nothing for the other.
 * Source: Howard, Ramdas, McAuliffe & Sekhon, arXiv 1810.08240, propositions 7 and 8; the tuning is that of confseq.
 */
import { logBetaCdf, logBetaSf } from "../distributions/beta.js";
import type { Sample, Side } from "./bernoulliArms.js";
import { type BetaPrior, logMartingale } from "./bernoulliMixture.js";

/** Where a test is to be sharpest: at this level and about so many values. Declared, never chosen from data. */
export interface Tuning {
	readonly alpha: number;
	readonly tunedAt: number;
}

/** The beta prior with mean p whose two-sided bound is nearly tightest at the tuning; one-sided tests pass twice the alpha. */
export function centredPrior(p: number, { alpha, tunedAt }: Tuning): BetaPrior {
	const variance = p * (1 - p);
	const log = -2 * Math.log(alpha);
	const spread = Math.max((tunedAt * variance) / (log + Math.log1p(log)) - variance, 1e-3 * variance);
	return { a: spread / (1 - p), b: spread / p };
}

/**
 * ln e for the claim that the share lies above (below) p, against all on the other side, p included: the mixture over
 * the claim's side of the prior alone. It rises (falls) in the sum, and is a supermartingale under every share of the
 * null, because each of its likelihood ratios is (bernoulliMixture.ts).
 */
export function logOneSided(side: Side, sample: Sample, p: number, prior: BetaPrior): number {
	const { a, b } = prior;
	const [x, y] = [a + sample.sum, b + sample.n - sample.sum];
	const mass = side === "above" ? logBetaSf(p, x, y) - logBetaSf(p, a, b) : logBetaCdf(p, x, y) - logBetaCdf(p, a, b);
	return logMartingale(sample, p, prior) + mass;
}
