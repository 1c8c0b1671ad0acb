/**
 * A quantile of requests, with the variance that several requests per unit give it.
 * Source: Deng, Knoblich & Lu, "Applying the delta method in metric analytics", KDD 2018, section 4.2 (outer CI with
 * the delta method's variance).
 *
 * By Bahadur, q̂ − q ≈ (ν − Ī)/f(q), Ī the share of requests at or below q. So Var(q̂) = Var(Ī)/f², and
 * - Var(Ī) is that of a ratio ΣS ÷ ΣN over units (statistics/coMoments.ts): five sums at one threshold, which may
 *   have been frozen earlier: only the *design effect* is used, Var(Ī) divided by its value for independent requests;
 * - 1/f is estimated from two order statistics around q̂, (upper − lower) over the distance of their ranks.
 *   The uncertainty of 1/f is in the degrees of freedom: the distance of two order statistics m requests apart is
 *   like a sum of m exponentials, its square like a chi-square of m/2 degrees over their number.
 * The clustered variance is the iid one *times* the design effect (growthbook's quantile.mdx, step 7, divides by it;
 * its code multiplies).
 */
import { type CoMoments, momentsAt } from "../statistics/coMoments.js";
import { isNoEstimate, type Level, type NoEstimate } from "./estimate.js";
import { ratioLevel } from "./level.js";
import { meanVectorOf } from "./meanVector.js";

/** 97.5 % point of the normal law: the ranks for 1/f lie a 95 % interval of the rank apart. */
const BRACKET_Z = 1.959963984540054;

/** The quantile and its neighbours, from the sample or a sketch of it. */
export interface QuantileReading {
	/** ν in (0, 1). */
	readonly quantile: number;
	readonly value: number;
	/** The values at the shares that `bracketOf` gives. */
	readonly lower: number;
	readonly upper: number;
}

/**
 * The shares at which to read `lower` and `upper` of n requests: ν ± z·√(ν(1 − ν)/n). null = outside of
 * (0, 1), because there are too few requests for this quantile (p99 needs 381).
 */
export function bracketOf(quantile: number, n: number): { readonly lower: number; readonly upper: number } | null {
	const half = BRACKET_Z * Math.sqrt((quantile * (1 - quantile)) / n);
	const [lower, upper] = [quantile - half, quantile + half];
	return lower > 0 && upper < 1 ? { lower, upper } : null;
}

/**
 * The quantile of an arm. `clusters`: per unit (requests at or below the threshold, requests), the threshold at or
 * near the quantile.
 */
export function quantileLevel(reading: QuantileReading, clusters: CoMoments): Level | NoEstimate {
	const { quantile, value, lower, upper } = reading;
	if (!(quantile > 0 && quantile < 1)) return { reason: `a quantile of ${quantile} is not between 0 and 1` };
	if (!(Number.isFinite(value) && lower <= value && value <= upper && upper - lower < Number.POSITIVE_INFINITY))
		return { reason: "the quantile does not lie between its neighbours" };
	if (lower === upper) return { reason: "values too coarse around the quantile: its neighbours are the same" };
	const vector = meanVectorOf(2, clusters);
	if (isNoEstimate(vector)) return vector;
	const share = ratioLevel(vector);
	if (isNoEstimate(share)) return share;
	const requests = clusters.n * momentsAt(clusters, 1).mean;
	const bracket = bracketOf(quantile, requests);
	if (bracket === null) return { reason: `too few requests for the ${quantile} quantile: ${Math.round(requests)}` };
	if (!(share.value > 0 && share.value < 1))
		return { reason: "all requests lie on one side of the threshold, so it shows nothing about this quantile" };
	const designEffect = share.variance / ((share.value * (1 - share.value)) / requests);
	const iid = ((upper - lower) / (bracket.upper - bracket.lower)) ** 2 * ((quantile * (1 - quantile)) / requests);
	const variance = iid * designEffect;
	if (!Number.isFinite(variance)) return { reason: "values too large for double precision" };
	return {
		value,
		variance,
		n: clusters.n,
		degreesOfFreedom: (requests * (bracket.upper - bracket.lower)) / 2,
		raw: { value, variance, covariance: variance },
		gradient: [],
		rawGradient: [],
	};
}
