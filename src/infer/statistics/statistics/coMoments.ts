/**
 * CoMoments: the mergeable sufficient statistics of k values per unit together: means, spreads and how they move
 * with each other. A plain JSON value. The variables and their order are the caller's:
 *
 * - a ratio Σ numerator ÷ Σ denominator: (numerator, denominator);
 * - CUPED: (outcome, its value before the experiment);
 * - CUPED of a ratio: (numerator, denominator, numerator before, denominator before);
 * - several requests per unit: a unit is a cluster with S_i = the sum over its requests and N_i = their number, and
 *   the mean over requests is the ratio ΣS_i ÷ ΣN_i. So (S, N), and nothing of its own: the unit was assigned, so
 *   the unit is what varies, however many requests it sends;
 * - a quantile of requests at a frozen threshold: S_i = the requests at or below it, N_i = all of them.
 */
import { type Moments, problemOf } from "./moments.js";

export interface CoMoments {
	/** Units, each with a value of every variable. */
	readonly n: number;
	/** Mean of each of the k variables. */
	readonly means: readonly number[];
	/**
	 * Sums of products of deviations from the means, Σ(x_i − mean_i)(x_j − mean_j) for j ≤ i, row by row:
	 * 00, 10, 11, 20, 21, 22, …: k(k + 1)/2 numbers.
	 */
	readonly m2: readonly number[];
}

/** What merges with anything of k variables and changes nothing. */
export function noCoMoments(k: number): CoMoments {
	return { n: 0, means: new Array<number>(k).fill(0), m2: new Array<number>((k * (k + 1)) / 2).fill(0) };
}

/** Place of (i, j), in any order, in the packed triangle. */
export function packedIndex(i: number, j: number): number {
	return i >= j ? (i * (i + 1)) / 2 + j : (j * (j + 1)) / 2 + i;
}

/**
 * Both samples together; exactly commutative, associative up to rounding (see Moments). Different numbers of
 * variables give NaN, which problemOfCoMoments names.
 * Source: Pébay, "Formulas for robust, one-pass parallel computation of covariances and arbitrary-order statistical
 * moments", SAND2008-6212, equation 3.12.
 */
export function mergeCoMoments(a: CoMoments, b: CoMoments): CoMoments {
	if (a.n === 0) return b;
	if (b.n === 0) return a;
	const n = a.n + b.n;
	const [large, small] = a.n > b.n || (a.n === b.n && before(b.means, a.means)) ? [a, b] : [b, a];
	const k = Math.max(a.means.length, b.means.length);
	const deltas = Array.from({ length: k }, (_, i) => at(small.means, i) - at(large.means, i));
	const weight = (a.n * b.n) / n;
	const m2: number[] = [];
	for (let i = 0; i < k; i++)
		for (let j = 0; j <= i; j++) {
			const index = packedIndex(i, j);
			m2.push(at(a.m2, index) + at(b.m2, index) + at(deltas, i) * at(deltas, j) * weight);
		}
	return { n, means: deltas.map((delta, i) => at(large.means, i) + delta * (small.n / n)), m2 };
}

/** The order of means that decides from which sample a merge of equal sizes starts. */
function before(a: readonly number[], b: readonly number[]): boolean {
	const index = a.findIndex((mean, i) => mean !== b[i]);
	return index === -1 || at(a, index) < at(b, index);
}

/** Moments of variable i alone. */
export function momentsAt(moments: CoMoments, i: number): Moments {
	return { n: moments.n, mean: at(moments.means, i), m2: at(moments.m2, packedIndex(i, i)) };
}

/** Rounding that a correlation may exceed 1 by: merges of millions of units of one sign stay far below. */
const CORRELATION_SLACK = 1e-6;

/** Why these are not the co-moments of any sample of k variables, or empty. */
export function problemOfCoMoments(k: number, moments: CoMoments): string {
	if (moments.means.length !== k || moments.m2.length !== (k * (k + 1)) / 2)
		return `there are ${moments.means.length} means and ${moments.m2.length} products, not those of ${k} variables`;
	const { n, means, m2 } = moments;
	for (let i = 0; i < k; i++) {
		const square = at(m2, packedIndex(i, i));
		const problem = problemOf({ n, mean: at(means, i), m2: square });
		if (problem !== "") return problem;
		for (let j = 0; j < i; j++) {
			const product = at(m2, packedIndex(i, j));
			if (!Number.isFinite(product)) return `a sum of products is ${product}: values too large for double precision`;
			const most = Math.sqrt(square) * Math.sqrt(at(m2, packedIndex(j, j)));
			if (Math.abs(product) > most * (1 + CORRELATION_SLACK)) return "two variables correlate by more than 1";
		}
	}
	return "";
}

/** A missing entry is NaN and not 0, so that it is detected. */
function at(values: readonly number[], index: number): number {
	return values[index] ?? Number.NaN;
}
