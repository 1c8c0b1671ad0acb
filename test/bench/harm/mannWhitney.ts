/**
 * The location shift of Kayenta's judge and the lower end of its 98 % interval, by the normal approximation with averaged ties
 * and a continuity correction. Source: NetflixACAJudge as described in its documentation, after R's wilcox.test.
 */
import { normalIsf } from "../../../src/infer/statistics/distributions/normal.js";

const Z = normalIsf(0.01);

export interface Shift {
	/** Hodges–Lehmann. */
	readonly estimate: number;
	/** Lower end of the interval. */
	readonly low: number;
}

/** Shift of x against y. Zero where both are one and the same value. */
export function hodgesLehmann(x: readonly number[], y: readonly number[]): Shift {
	const lo = Math.min(...x) - Math.max(...y);
	const hi = Math.max(...x) - Math.min(...y);
	if (!(hi > lo)) return { estimate: lo, low: lo };
	return { estimate: crossing(x, y, 0, lo, hi), low: crossing(x, y, Z, lo, hi) };
}

/** The mu in [lo, hi] where z(mu) falls to `target`, by bisection: z does not rise in mu. */
function crossing(x: readonly number[], y: readonly number[], target: number, lo: number, hi: number): number {
	if (zAt(x, y, lo, target) < target) return lo;
	if (zAt(x, y, hi, target) > target) return hi;
	let [from, to] = [lo, hi];
	for (let step = 0; step < 40; step++) {
		const middle = (from + to) / 2;
		if (zAt(x, y, middle, target) > target) from = middle;
		else to = middle;
	}
	return (from + to) / 2;
}

function zAt(x: readonly number[], y: readonly number[], mu: number, target: number): number {
	const all = [
		...x.map((value) => ({ value: value - mu, own: true })),
		...y.map((value) => ({ value, own: false })),
	].sort((a, b) => a.value - b.value);
	let [rankSum, ties] = [0, 0];
	for (let start = 0; start < all.length; ) {
		let end = start;
		while (end < all.length && all[end]?.value === all[start]?.value) end++;
		const rank = (start + end + 1) / 2;
		for (let index = start; index < end; index++) if (all[index]?.own === true) rankSum += rank;
		const tied = end - start;
		ties += tied ** 3 - tied;
		start = end;
	}
	const [n, m] = [x.length, y.length];
	const statistic = rankSum - (n * (n + 1)) / 2 - (n * m) / 2;
	const sigma = Math.sqrt(((n * m) / 12) * (n + m + 1 - ties / ((n + m) * (n + m - 1))));
	if (!(sigma > 0)) return 0;
	const correction = target === 0 ? 0 : Math.sign(statistic) * 0.5;
	return (statistic - correction) / sigma;
}
