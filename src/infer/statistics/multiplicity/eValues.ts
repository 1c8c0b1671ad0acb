/**
 * Discoveries over a fleet of experiments under continuous looks: e-BH and averages of e-values.
 *
 * An e-value is a number whose mean under the null is at most 1; the value of a test martingale at any look is one.
 * e-BH keeps the false discovery rate at alpha whatever the dependence between the experiments: the same users may
 * be in all of them, and each may be stopped when it pleases, by its own data. (A rule that stops one experiment by
 * looking at another needs martingales with respect to what it saw of both.) What counts is the e-value now, or where
 * the experiment was stopped, never the largest so far: the maximum of a martingale has no mean below 1.
 * Source: Wang & Ramdas, "False discovery rate control with e-values", JRSS-B 84 (2022), section 4.
 *
 * Everything is on the logarithm, as evidence is kept.
 */
import { logSumExp } from "../distributions/logSumExp.js";
import { logAdjusted } from "./adjusted.js";

/**
 * ln of the smallest false discovery rate at which e-BH discovers each hypothesis: it falls at alpha when
 * m/(k·e₍k₎) ≤ alpha for some rank k at or below its own. That is Benjamini–Hochberg on 1/e. No evidence (null,
 * NaN) counts as one of the fleet and gets null.
 */
export function logEbh(logEs: readonly (number | null)[]): (number | null)[] {
	const known = logEs.map((logE) => (logE === null || Number.isNaN(logE) ? null : logE));
	// An e-value below 1 is as good as one of 1: neither is ever discovered.
	const adjusted = logAdjusted(
		"benjamini-hochberg",
		known.map((logE) => (logE === null ? null : Math.min(0, 0 - logE))),
	);
	return adjusted;
}

/** Which hypotheses e-BH discovers at a false discovery rate of alpha. */
export function discoveries(logEs: readonly (number | null)[], alpha: number): boolean[] {
	// The ranks are compared in logarithms; a hair of slack so that e = m/(k·alpha) exactly is a discovery.
	const line = Math.log(alpha) + 1e-12;
	return logEbh(logEs).map((level) => level !== null && level <= line);
}

/**
 * ln of the weighted mean of e-values for one and the same null: again an e-value, whatever their dependence (Vovk &
 * Wang 2021, the only such rule that counts). Weights are fixed beforehand; none given: equal ones. Evidence that is
 * missing counts as e = 1, its value before any data. NaN where weights are no weights or there is nothing.
 */
export function logAverage(logEs: readonly (number | null)[], weights?: readonly number[]): number {
	const used = weights ?? logEs.map(() => 1);
	const total = used.reduce((sum, weight) => sum + weight, 0);
	if (used.length !== logEs.length || !(total > 0) || !Number.isFinite(total) || used.some((weight) => !(weight >= 0)))
		return Number.NaN;
	return logSumExp(logEs.map((logE, index) => (logE ?? 0) + Math.log((used[index] ?? 0) / total)));
}
