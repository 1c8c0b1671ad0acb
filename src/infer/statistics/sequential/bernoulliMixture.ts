/**
 * Two-sample sequential inference for means of values in [0,1], from (n, Σx) of each arm alone. Exact: the error
 * probabilities hold at every sample size, at all looks together.
 *
 * Why it is valid for shares, not only for 0 and 1: for a claimed mean p and any q in (0,1) the factor
 * f(x) = (q/p)^x ((1−q)/(1−p))^(1−x) is the exponential of a linear function of x, so convex; on [0,1] it lies
 * below its chord, and E f(X) ≤ (1−p) f(0) + p f(1) = (1−q) + q = 1 when E X = p. The product over units is
 * therefore a non-negative supermartingale under the claim, for one arm and for both together in whatever order
 * their units come; so is every mixture over (q_t, q_c) whose weights were fixed beforehand. By Ville's inequality
 * it ever exceeds 1/α with probability at most α. Units must be independent with one mean per arm; requests of one
 * person are not, which is why a unit's observation is the share of its requests.
 *
 * A composite null {p_t − k·p_c ≤ d} (or ≥ d) is rejected when every one of its points is, each by a process of its
 * own (nullBoundary.ts), which has two parts:
 * - 0.2 of a mixture that does not know the point, divided by the point's likelihood: half of it on independent
 *   q_t, q_c ~ Beta(a, b), half on q_t = q_c ~ Beta(a, b). It rules out levels far from the data's.
 * - 0.8 of likelihood ratios from that point towards the claim (orthogonalRatio.ts). It decides.
 * Sources: Howard et al. 2021 (arXiv 1810.08240, beta-binomial mixture); Wasserman, Ramdas & Balakrishnan 2020
 * (universal inference); Ramdas et al. 2022 (arXiv 2009.03167, an e-process as the infimum over a composite null).
 *
 * What it costs: about 2.5 nats above ln(1/α) at 78 % → 83 %, nearly all of it for not knowing the effect's size.
 * Units per arm until proved at alpha 0.05/3, on exactly proportional data; in brackets by one mixture for all null
 * points, which pays 7.4 nats there because it does not know the level either:
 *
 *   goal 78 % → 83 % above +0.5 pp    2,034 (3,561)      no errors, below +0.5 pp         1,106 (1,198)
 *   goal 78 % → 83 % above 0          1,640 (2,828)      no errors, below +0.2 pp         2,783 (3,068)
 *   goal 78 % → 80 % above 0         11,377 (21,871)     errors 0.1 %, below +0.5 pp      1,968 (2,787)
 *   goal 5 % → 6 % above 0           13,984 (27,255)     slow 0.1 %, below +1 pp            773 (1,049)
 *   harm 78 % → 53 % below 0             92 (154)        slow 0.1 % → 5 %, above +1 pp      261 (494)
 */

import { lnBeta } from "../distributions/lnGamma.js";
import { logSumExp } from "../distributions/logSumExp.js";
import { type ArmShares, type Contrast, logLikelihood, type Sample, type Side } from "./bernoulliArms.js";
import { logNullInfimum, type Trial } from "./nullBoundary.js";

export type { ArmShares, Contrast, Sample, Side } from "./bernoulliArms.js";

/** Beta prior of the mixture. Any choice made before the data is valid; it only moves the power. */
export interface BetaPrior {
	readonly a: number;
	readonly b: number;
}

/** For outcome rates, which may lie anywhere: Jeffreys' prior, within a constant of the best for every rate. */
export const PRIOR_RATE: BetaPrior = { a: 0.5, b: 0.5 };

/**
 * For failures and slow shares, which are rare when things go well: most of the mass near 0. With no failure in
 * 2,000 units the mixture loses 0.9 nats per arm against 4.4 by Jeffreys; at a rate of 20 % it is 0.6 worse.
 */
export const PRIOR_RARE: BetaPrior = { a: 0.1, b: 0.5 };

const NO_UNITS: Sample = { n: 0, sum: 0 };

export const EQUAL_SHARES: ArmShares = { challenger: 1, baseline: 1 };

/** ln of the beta-binomial martingale of one arm at the claimed mean p: ln B(a+S, b+n−S) − ln B(a,b) − S ln p − (n−S) ln(1−p). */
export function logMartingale(sample: Sample, p: number, prior: BetaPrior): number {
	return lnPosterior(sample, prior) - logLikelihood(sample, p);
}

/** ln of the joint mixture likelihood of both arms: half independent means, half one mean. */
function logMixture(t: Sample, c: Sample, prior: BetaPrior): number {
	const apart = lnPosterior(t, prior) + lnPosterior(c, prior);
	const together = lnPosterior({ n: t.n + c.n, sum: t.sum + c.sum }, prior);
	return logSumExp([apart, together]) - Math.LN2;
}

/** ln B(a+S, b+n−S) − ln B(a,b). */
function lnPosterior({ n, sum }: Sample, { a, b }: BetaPrior): number {
	return lnBeta(a + sum, b + n - sum) - lnBeta(a, b);
}

/** Both arms' data as a claim's trial; the mixture is computed once for all lines. */
export function trialOf(side: Side, challenger: Sample, baseline: Sample, prior: BetaPrior, shares: ArmShares): Trial {
	const t = tidy(challenger);
	const c = tidy(baseline);
	return { side, challenger: t, baseline: c, logMixture: logMixture(t, c, prior), shares };
}

/**
 * ln e for the claim p_t > slope·p_c + offset ("above") or < ("below"): evidence against the opposite half-plane,
 * boundary included. Negative when the data lie in the null; +∞ when the null is empty or impossible. Reject at
 * level α when it reaches ln(1/α). Slope ≥ 0. `shares` are the arms' shares by design, never the observed n; they
 * matter to the power only.
 */
export function logEvidence(
	side: Side,
	challenger: Sample,
	baseline: Sample,
	contrast: Contrast,
	prior: BetaPrior,
	shares: ArmShares = EQUAL_SHARES,
): number {
	return logNullInfimum(trialOf(side, challenger, baseline, prior, shares), contrast);
}

/** What cannot be n values in [0,1] counts as no data. Rounding of n·mean may leave [0, n] by a few ulp. */
function tidy({ n, sum }: Sample): Sample {
	const isSample = n > 0 && n < Number.POSITIVE_INFINITY && sum >= -1e-9 * n && sum <= n * (1 + 1e-9);
	return isSample ? { n, sum: Math.min(n, Math.max(0, sum)) } : NO_UNITS;
}

/** ln e for the claim that one arm's mean is below p: evidence against {mean ≥ p}. For one-sample claims about shares. */
export function logEvidenceBelow(sample: Sample, p: number, prior: BetaPrior): number {
	const s = tidy(sample);
	if (s.n === 0) return 0;
	return logMartingale(s, Math.max(p, s.sum / s.n), prior);
}

/** ln e for the claim that one arm's mean is above p: evidence against {mean ≤ p}. */
export function logEvidenceAbove(sample: Sample, p: number, prior: BetaPrior): number {
	const s = tidy(sample);
	if (s.n === 0) return 0;
	return logMartingale(s, Math.min(p, s.sum / s.n), prior);
}
