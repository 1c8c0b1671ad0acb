/**
 * ln(1+x) − x and the products of two doubles without rounding: what densities with exponents of 10¹² are built of.
 *
 * A deviance such as k ln(k/np) − (k − np) is a small difference of large numbers. Written as −k·log1pmx(δ/k) with
 * δ = np − k computed exactly it keeps all its digits (Loader, "Fast and accurate computation of binomial
 * probabilities", 2000).
 */

/** Below it s² ≤ 1/400 and six terms are exact; below SERIES_TO fourteen are. */
const SHORT_SERIES_TO = 0.1;
const SERIES_TO = 0.4;

/**
 * ln(1+x) − x for x > −1, relative error a few 1e-16. With s = x/(2+x), ln(1+x) = 2 artanh s and x − 2s = x·s, so
 * that nothing of size x is subtracted from x.
 */
export function log1pmx(x: number): number {
	const size = Math.abs(x);
	if (size > SERIES_TO) return Math.log1p(x) - x;
	const s = x / (2 + x);
	const y = s * s;
	let tail = 0;
	if (size > SHORT_SERIES_TO) {
		for (let k = 29; k > 13; k -= 2) tail = y * (1 / k + tail);
	}
	const sum = 1 / 3 + y * (1 / 5 + y * (1 / 7 + y * (1 / 9 + y * (1 / 11 + y * (1 / 13 + tail)))));
	return s * (2 * y * sum - x);
}

/**
 * Loader's deviance from k to `at` = k + delta, as k·(ln(1 + delta/k) − delta/k). Far below k the sum 1 + delta/k has
 * lost the digits of at/k, so that `at` is taken as it is.
 */
export function deviance(k: number, at: number, delta: number): number {
	return at < k / 2 ? k * Math.log(at / k) - delta : k * log1pmx(delta / k);
}

/** 2²⁷ + 1: splits a double into two halves of 26 bits (Veltkamp). */
const SPLITTER = 134217729;

/** The rounding error of a·b: a·b = (a·b rounded) + this, exactly (Dekker 1971). |a|, |b| below 1e290. */
export function productError(a: number, b: number): number {
	const p = a * b;
	const ca = SPLITTER * a;
	const aHigh = ca - (ca - a);
	const aLow = a - aHigh;
	const cb = SPLITTER * b;
	const bHigh = cb - (cb - b);
	const bLow = b - bHigh;
	return aHigh * bHigh - p + aHigh * bLow + aLow * bHigh + aLow * bLow;
}

/** (a+b)·x − a with one rounding at the end: how far a lies below the mean of a+b trials of rate x. */
export function excess(x: number, a: number, b: number): number {
	const n = a + b;
	const back = n - a;
	const lost = a - (n - back) + (b - back);
	const p = n * x;
	return p - a + (productError(n, x) + lost * x);
}
