/**
 * Many hypotheses at once: adjusted p-values of Bonferroni, Holm, Benjamini–Hochberg and Benjamini–Yekutieli.
 *
 * Everything is on the logarithm. A p-value of 1e-400 is 0 as a double, and results that are all 0 tie and lose their
 * order; their logarithms do not. An adjusted p-value is the smallest level of the whole family at which this
 * hypothesis falls: compare it with alpha, or its logarithm with ln alpha. Equal p-values get equal answers.
 *
 * A hypothesis that was not tested is null. It counts as one of the family all the same, as if its p were 1, so that
 * missing data never makes the others look better, and its answer is null. So does what is no p-value (NaN, above 1).
 */

/** ln p of each hypothesis; null where there is none. */
export type LogPs = readonly (number | null)[];

export type Procedure = "bonferroni" | "holm" | "benjamini-hochberg" | "benjamini-yekutieli";

/**
 * ln of the adjusted p-values, in the order given.
 *
 * - bonferroni: m·p. Family-wise error, under any dependence.
 * - holm: the running maximum of (m − k + 1)·p₍k₎ (Holm 1979). Family-wise error, under any dependence; never worse
 *   than Bonferroni.
 * - benjamini-hochberg: the running minimum from the top of m·p₍k₎/k (1995). False discovery rate, independent or
 *   positively dependent p-values.
 * - benjamini-yekutieli: the same times Σ 1/i (2001). False discovery rate under any dependence.
 */
export function logAdjusted(procedure: Procedure, logPs: LogPs): (number | null)[] {
	const m = logPs.length;
	// Ascending by p; what was not tested stands last.
	const order = logPs.map((_, index) => index).sort((a, b) => valid(logPs[a]) - valid(logPs[b]) || a - b);
	const sorted = order.map((index) => valid(logPs[index]));
	const adjusted = new Array<number>(m).fill(0);
	if (procedure === "bonferroni" || procedure === "holm") {
		let most = Number.NEGATIVE_INFINITY;
		sorted.forEach((logP, k) => {
			most = Math.max(most, logP + Math.log(procedure === "holm" ? m - k : m));
			adjusted[k] = procedure === "holm" ? most : logP + Math.log(m);
		});
	} else {
		const all = procedure === "benjamini-yekutieli" ? Math.log(harmonic(m)) : 0;
		let least = 0;
		for (let k = m - 1; k >= 0; k--) {
			least = Math.min(least, (sorted[k] ?? 0) + Math.log(m / (k + 1)) + all);
			adjusted[k] = least;
		}
	}
	const result = new Array<number | null>(m).fill(null);
	order.forEach((index, k) => {
		if (isLogP(logPs[index])) result[index] = Math.min(0, adjusted[k] ?? 0);
	});
	return result;
}

/** The same for p-values, for reading; those below 1e-308 are 0 and tie. */
export function adjustedPs(procedure: Procedure, ps: readonly (number | null)[]): (number | null)[] {
	const logs = ps.map((p) => (p === null || !(p >= 0) ? null : Math.log(p)));
	return logAdjusted(procedure, logs).map((log) => (log === null ? null : Math.exp(log)));
}

function isLogP(logP: number | null | undefined): logP is number {
	return typeof logP === "number" && logP <= 0;
}

function valid(logP: number | null | undefined): number {
	return isLogP(logP) ? logP : 0;
}

/** Σ 1/i for i to m. */
function harmonic(m: number): number {
	let sum = 0;
	for (let i = m; i >= 1; i--) sum += 1 / i;
	return sum;
}
