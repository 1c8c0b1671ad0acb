/**
 * The only use of jStat 1.9.6, limited to the domain where it was measured; throws outside.
 *
 * No verdict comes from here: what decides is asked for ten digits, and jStat has seven to nine of them, silently none
 * from a+b of about 1e5 on (its continued fraction stops after 100 steps). It serves as a second implementation by
 * other authors against which ours is tested, and gives the non-central t distribution, which only planning asks for:
 * a planned power is right to three digits or not at all. Bounds are absolute errors against mpmath, measured on the
 * grid of test/infer/statistics/distributions/jstat.test.ts, which fails when an upgrade changes them.
 */
// @ts-expect-error: the package has no types; what is used of it is declared here.
import untyped from "jstat";
import { WeirError } from "../../../error.js";

interface JStat {
	readonly studentt: { cdf(x: number, df: number): number; inv(p: number, df: number): number };
	readonly beta: { cdf(x: number, a: number, b: number): number };
	readonly normal: {
		cdf(x: number, mean: number, deviation: number): number;
		inv(p: number, mean: number, deviation: number): number;
	};
	readonly chisquare: { cdf(x: number, df: number): number };
	readonly noncentralt: { cdf(x: number, df: number, noncentrality: number): number };
}

const library: JStat = untyped;

/** Beyond it the unconverged fraction shows: 2.6e-6 at 1e5, 1.7e-2 at 1e6, negative probabilities at 1e7. */
export const JSTAT_SIZE_MAX = 20_000;
/** Beyond it the normal tail loses its digits: erfc(5) has four, Φ(−10) none. */
export const JSTAT_Z_MAX = 6;
/** Quantiles further out are wrong by percents, and those of 0 and 1 finite. */
export const JSTAT_P_MIN = 1e-9;
/** Far above any power that is planned; measured to here. */
export const JSTAT_NONCENTRALITY_MAX = 8;

function demand(inside: boolean, what: string): void {
	if (inside) return;
	throw new WeirError(
		"invalid-argument",
		`${what} is outside the domain where jStat was measured.`,
		"Use the functions of src/infer/statistics/distributions, which hold everywhere.",
	);
}

/** Student's t: P(T ≤ t) for df in [1, 2e4], absolute error at most 1e-7. */
export function jstatTCdf(t: number, df: number): number {
	demand(Number.isFinite(t) && df >= 1 && df <= JSTAT_SIZE_MAX, `t = ${t} at df = ${df}`);
	return library.studentt.cdf(t, df);
}

/** I_x(a, b) for x in [0, 1], a and b from 1/2, a + b up to 2e4, absolute error at most 1e-7. */
export function jstatBetaCdf(x: number, a: number, b: number): number {
	demand(x >= 0 && x <= 1 && a >= 0.5 && b >= 0.5 && a + b <= JSTAT_SIZE_MAX, `I_${x}(${a}, ${b})`);
	return library.beta.cdf(x, a, b);
}

/** Φ(z) for |z| < 6, absolute error at most 1e-7. */
export function jstatNormalCdf(z: number): number {
	demand(Math.abs(z) < JSTAT_Z_MAX, `Φ(${z})`);
	return library.normal.cdf(z, 0, 1);
}

/** Φ⁻¹(p) for p in [1e-9, 1 − 1e-9], absolute error at most 1e-5. */
export function jstatNormalQuantile(p: number): number {
	demand(p >= JSTAT_P_MIN && p <= 1 - JSTAT_P_MIN, `Φ⁻¹(${p})`);
	return library.normal.inv(p, 0, 1);
}

/** Chi-square: P(X ≤ x) for df in [1, 1e5], absolute error at most 1e-7; 1 − this is no tail below 1e-9. */
export function jstatChiSquareCdf(x: number, df: number): number {
	demand(x >= 0 && Number.isFinite(x) && df >= 1 && df <= 1e5, `χ² = ${x} at df = ${df}`);
	return library.chisquare.cdf(x, df);
}

/**
 * Non-central t: P(T ≤ t), for df in [3, 2e4], |t| ≤ 8 and a non-centrality in [0, 8]; absolute error at most 1e-8.
 * About 0.2 ms: for a plan, not for a loop.
 */
export function jstatNoncentralTCdf(t: number, df: number, noncentrality: number): number {
	demand(
		Math.abs(t) <= 8 &&
			df >= 3 &&
			df <= JSTAT_SIZE_MAX &&
			noncentrality >= 0 &&
			noncentrality <= JSTAT_NONCENTRALITY_MAX,
		`t = ${t} at df = ${df}, non-centrality ${noncentrality}`,
	);
	return library.noncentralt.cdf(t, df, noncentrality);
}
