/**
 * The only use of jStat 1.9.6: the non-central t distribution, which only planning asks for (a planned power is right to
 * three digits or not at all). No verdict comes from here: what decides is asked for ten digits, and jStat has seven to
 * nine of them, in a limited domain.
 */
// @ts-expect-error: the package has no types; what is used of it is declared here.
import untyped from "jstat";
import { WeirError } from "../../../error.js";

const library: { readonly noncentralt: { cdf(x: number, df: number, noncentrality: number): number } } = untyped;

/** Beyond it the unconverged fraction shows: 2.6e-6 at 1e5, 1.7e-2 at 1e6, negative probabilities at 1e7. */
export const JSTAT_SIZE_MAX = 20_000;

/** Far above any power that is planned; measured to here. */
export const JSTAT_NONCENTRALITY_MAX = 8;

/**
 * P(T ≤ t), for df in [3, 2e4], |t| ≤ 8 and a non-centrality in [0, 8]; absolute error at most 1e-8 against mpmath, measured
 * by test/infer/statistics/distributions/jstat.test.ts. About 0.2 ms: for a plan, not for a loop.
 * @throws WeirError `invalid-argument` outside of that domain
 */
export function jstatNoncentralTCdf(t: number, df: number, noncentrality: number): number {
	const isMeasured =
		Math.abs(t) <= 8 &&
		df >= 3 &&
		df <= JSTAT_SIZE_MAX &&
		noncentrality >= 0 &&
		noncentrality <= JSTAT_NONCENTRALITY_MAX;
	if (!isMeasured) {
		const what = `t = ${t} at df = ${df}, non-centrality ${noncentrality}`;
		throw new WeirError("invalid-argument", `${what} is outside the domain where jStat was measured.`);
	}
	return library.noncentralt.cdf(t, df, noncentrality);
}
