/**
 * Confidence sequence of one mean of values in [0,1], from (n, Σx) alone: all p that the arm's beta-binomial martingale
 * has not refuted. Exact at every n and at all looks together (bernoulliMixture.ts explains why, for shares too).
 * Source: Robbins, "Statistical methods related to the law of the iterated logarithm", 1970; Howard et al., arXiv
 * 1810.08240, the beta-binomial mixture of a fixed prior.
 */
import { rootOf } from "../distributions/root.js";
import type { Bounds } from "./bernoulliBounds.js";
import { type BetaPrior, logMartingale, type Sample } from "./bernoulliMixture.js";

/** Absolute, and far below what is ever shown. */
const PRECISION = 1e-12;

/** Both bounds together at level alpha; [0, 1] without data. */
export function shareBounds(sample: Sample, alpha: number, prior: BetaPrior): Bounds {
	const { n, sum } = sample;
	if (!(n > 0 && sum >= 0 && sum <= n)) return { lower: 0, upper: 1 };
	// Convex in p, least at the seen mean, and without bound towards an end that the data contradict.
	const excess = (p: number): number => Math.min(Number.MAX_VALUE, logMartingale(sample, p, prior)) + Math.log(alpha);
	const seen = sum / n;
	if (!(excess(seen) < 0)) return { lower: 0, upper: 1 };
	return {
		lower: excess(0) <= 0 ? 0 : rootOf(excess, 0, seen, PRECISION),
		upper: excess(1) <= 0 ? 1 : rootOf(excess, seen, 1, PRECISION),
	};
}
