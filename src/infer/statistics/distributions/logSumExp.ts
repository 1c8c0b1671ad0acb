/**
 * Sums of numbers known by their logarithms.
 */

/** ln Σ exp(vᵢ) without overflow; −∞ for an empty list. */
export function logSumExp(values: readonly number[]): number {
	const top = Math.max(...values);
	if (!Number.isFinite(top)) return top;
	let sum = 0;
	for (const value of values) sum += Math.exp(value - top);
	return top + Math.log(sum);
}
