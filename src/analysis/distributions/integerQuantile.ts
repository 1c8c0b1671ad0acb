/**
 * Quantiles of counts.
 */
import { normalQuantile } from "./normal.js";

/** A distribution on the integers 0 … `max`. */
export interface CountDistribution {
	readonly max: number;
	readonly mean: number;
	readonly deviation: number;
	readonly skewness: number;
	cdf(k: number): number;
	sf(k: number): number;
}

/**
 * The smallest k with P(X ≤ k) ≥ p, 0 < p < 1, compared in the smaller tail. From the guess of Cornish and Fisher the
 * answer is bracketed by doubling steps and halved down to, so a bad guess costs time, never the answer.
 */
export function integerQuantile(p: number, law: CountDistribution): number {
	const reached = p <= 0.5 ? (k: number) => law.cdf(k) >= p : (k: number) => law.sf(k) <= 1 - p;
	const z = Math.max(-38, Math.min(38, normalQuantile(p)));
	const guess = Math.floor(law.mean + law.deviation * (z + ((z * z - 1) * law.skewness) / 6));
	let low = Math.max(-1, Math.min(law.max, guess) - 1);
	let high = Math.min(law.max, low + 2);
	for (let width = 2; low >= 0 && reached(low); width *= 2) {
		high = low;
		low = Math.max(-1, low - width);
	}
	for (let width = 2; high < law.max && !reached(high); width *= 2) {
		low = high;
		high = Math.min(law.max, high + width);
	}
	while (high - low > 1) {
		const middle = low + Math.floor((high - low) / 2);
		if (reached(middle)) high = middle;
		else low = middle;
	}
	return high;
}
