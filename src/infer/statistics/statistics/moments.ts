/**
 * Moments: the mergeable sufficient statistics of one value per unit. A plain JSON value; nothing here keeps state.
 *
 * Deviations are squared about the running mean, not about zero: Σx² − (Σx)²/n loses every digit of the variance
 * where the mean is large beside the spread (timestamps, bytes, nanoseconds). What is left here is what the mean
 * itself carries: a relative error of m2 of the order 1e-16·(1 + |mean|/sd).
 */

/** Sufficient statistics of one metric in one arm: one value per unit, of units whose window has closed. */
export interface Moments {
	/** Units. */
	readonly n: number;
	readonly mean: number;
	/** Sum of squared deviations from the mean (Welford/Chan), not a sum of squares: no cancellation. */
	readonly m2: number;
}

/** What merges with anything and changes nothing. */
export const NO_MOMENTS: Moments = { n: 0, mean: 0, m2: 0 };

/**
 * The moments of both samples together. Exactly commutative; associative up to the error above.
 * Source: Chan, Golub & LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances" (1979),
 * equations 2.1.
 */
export function mergeMoments(a: Moments, b: Moments): Moments {
	if (a.n === 0) return b;
	if (b.n === 0) return a;
	// From the larger sample's mean: the step is then the shorter one, and the order of arguments cannot matter.
	const [large, small] = a.n > b.n || (a.n === b.n && a.mean >= b.mean) ? [a, b] : [b, a];
	const n = a.n + b.n;
	const delta = small.mean - large.mean;
	return {
		n,
		mean: large.mean + delta * (small.n / n),
		m2: a.m2 + b.m2 + delta * delta * ((a.n * b.n) / n),
	};
}

/**
 * Why these are not the moments of any sample, or empty. Whatever infers from moments asks this first, so that NaN,
 * an infinity or a negative count ends as a reason and not as a number.
 */
export function problemOf({ n, mean, m2 }: Moments): string {
	if (!Number.isFinite(n)) return `the count of units is ${n}`;
	if (n < 0) return `the count of units is negative: ${n}`;
	if (!Number.isSafeInteger(n)) return `the count of units is not a whole number: ${n}`;
	if (!Number.isFinite(mean)) return `the mean is ${mean}: a value is missing or too large for double precision`;
	if (!Number.isFinite(m2)) return `the sum of squared deviations is ${m2}: values too large for double precision`;
	if (m2 < 0) return `the sum of squared deviations is negative: ${m2}`;
	if (n === 0 && (mean !== 0 || m2 !== 0)) return "there are no units, yet a mean or a spread";
	if (n === 1 && m2 !== 0) return "one unit cannot have a spread";
	return "";
}
