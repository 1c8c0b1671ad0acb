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
