/**
 * One arm's values in [0,1] seen through n and Σx alone, and lines between two arms' means. The likelihood here is
 * the Bernoulli form x·ln p + (1−x)·ln(1−p) also for fractional values; bernoulliMixture.ts shows why that stays valid.
 */

/** Units of one arm and the sum of their values, 0 ≤ sum ≤ n; the sum need not be whole. */
export interface Sample {
	readonly n: number;
	readonly sum: number;
}

/** The line p_t = slope · p_c + offset; slope 1 for a difference, 1 + r and offset 0 for a relative effect. */
export interface Contrast {
	readonly slope: number;
	readonly offset: number;
}

/** The claim: p_t above the line, or below it. The null is the other side, including the line. */
export type Side = "above" | "below";

/** The units of the two arms by design, as shares or weights in any unit. */
export interface ArmShares {
	readonly challenger: number;
	readonly baseline: number;
}

/** x·ln p with 0·ln 0 = 0. */
const xLogP = (x: number, p: number): number => (x === 0 ? 0 : x * Math.log(p));
const xLog1mP = (x: number, p: number): number => (x === 0 ? 0 : x * Math.log1p(-p));

/** ln of the Bernoulli likelihood at mean p; −∞ where the data contradict p. */
export function logLikelihood({ n, sum }: Sample, p: number): number {
	return xLogP(sum, p) + xLog1mP(n - sum, p);
}

/** Derivative of −log-likelihood in p; ±∞ at an end that the data contradicts. */
function slopeAt({ n, sum }: Sample, p: number): number {
	return (sum === 0 ? 0 : -sum / p) + (n - sum === 0 ? 0 : (n - sum) / (1 - p));
}

/** Second derivative of −log-likelihood in p. */
function curvatureAt({ n, sum }: Sample, p: number): number {
	return (sum === 0 ? 0 : sum / (p * p)) + (n - sum === 0 ? 0 : (n - sum) / ((1 - p) * (1 - p)));
}

const clamp = (value: number): number => Math.min(1, Math.max(0, value));

/** p_t on the line; clamped against rounding at the ends of its segment. */
export function challengerOn({ slope, offset }: Contrast, pc: number): number {
	return clamp(slope * pc + offset);
}

/** The p_c of the line's segment within the unit square; null where the line misses the square. */
export function segment({ slope, offset }: Contrast): { readonly lo: number; readonly hi: number } | null {
	if (slope === 0) return offset < 0 || offset > 1 ? null : { lo: 0, hi: 1 };
	const lo = Math.max(0, -offset / slope);
	const hi = Math.min(1, (1 - offset) / slope);
	return lo > hi ? null : { lo, hi };
}

/**
 * The p_c at which the likelihood of both arms is largest on the line's segment. Newton's method on the monotone
 * derivative from the arms' pooled level, kept inside a shrinking bracket: deterministic, at most 200 steps, usually 4.
 */
export function mostLikelyOn(t: Sample, c: Sample, contrast: Contrast, ends: { lo: number; hi: number }): number {
	let { lo, hi } = ends;
	const { slope, offset } = contrast;
	const pooled = (t.sum - t.n * offset + slope * c.sum) / (slope * (t.n + c.n));
	let p = pooled > lo && pooled < hi ? pooled : (lo + hi) / 2;
	for (let step = 0; step < 200 && lo < hi; step++) {
		const q = challengerOn(contrast, p);
		const gradient = (slope === 0 ? 0 : slope * slopeAt(t, q)) + slopeAt(c, p);
		if (gradient === 0) return p;
		if (gradient > 0) hi = p;
		else lo = p;
		const newton = p - gradient / (slope * slope * curvatureAt(t, q) + curvatureAt(c, p));
		const next = newton > lo && newton < hi ? newton : (lo + hi) / 2;
		if (next === lo || next === hi) break;
		if (Math.abs(next - p) <= 1e-15 * Math.max(p, 1e-12)) return p;
		p = next;
	}
	// The bracket has closed, perhaps on an end of the segment where the derivative has no sign change.
	const at = (x: number): number => logLikelihood(t, challengerOn(contrast, x)) + logLikelihood(c, x);
	return [lo, hi].reduce((best, x) => (at(x) > at(best) ? x : best), p);
}
