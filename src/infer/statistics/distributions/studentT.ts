/**
 * Student's t distribution for every df > 0, not only integers, to df = ∞ (the normal): tails directly and as
 * logarithms, and quantiles.
 *
 * By the incomplete beta function with t²/(df+t²) and df/(df+t²) both given, so that nothing is lost where either is
 * near 1. Relative error below 1e-12. df that is not positive, or t that is NaN, gives NaN; non-convergence throws.
 */
import { incompleteBeta } from "./incompleteBeta.js";
import { lnBeta } from "./lnGamma.js";
import { logNormalSf, normalIsf, normalPdf, normalSf } from "./normal.js";
import { solveLogTail } from "./root.js";
import { logSideOf, sideOf, type Tail } from "./tail.js";

/** Here t² and df are so far apart that a square would leave the doubles: only the power law of the tail is left. */
const HUGE = 1e150;

/** The two-sided tail P(|T| > t) for t > 0: `lower` of it is the mass within ±t. */
function split(t: number, df: number): Tail {
	if (t > HUGE) {
		const logX = Math.min(0, Math.log(df) - 2 * Math.log(t));
		return { lower: false, logKernel: (df / 2) * logX - lnBeta(df / 2, 0.5), factor: 2 / df };
	}
	const square = t * t;
	const sum = df + square;
	return incompleteBeta(square / sum, df / sum, 0.5, df / 2);
}

function trivial(t: number, df: number): boolean {
	return Number.isNaN(t) || !(df > 0) || t === 0 || Math.abs(t) < 1e-150 || !Number.isFinite(t);
}

/** P(T > t) where no integral is needed. */
function trivialSf(t: number, df: number): number {
	if (Number.isNaN(t) || !(df > 0)) return Number.NaN;
	return Math.abs(t) < 1 ? 0.5 : t > 0 ? 0 : 1;
}

/** P(T > t), computed directly. */
export function tSf(t: number, df: number): number {
	if (trivial(t, df)) return trivialSf(t, df);
	if (df === Number.POSITIVE_INFINITY) return normalSf(t);
	const tail = split(Math.abs(t), df);
	const half = sideOf(tail, false) / 2;
	return t > 0 ? half : tail.lower ? 0.5 + sideOf(tail, true) / 2 : 1 - half;
}

/** P(|T| ≥ |t|): the p-value of the two-sided test. */
export function tTwoSidedP(t: number, df: number): number {
	const q = tSf(Math.abs(t), df);
	return Math.min(1, 2 * q);
}

/** ln P(T > t), where the tail itself may be below every double. */
export function logTSf(t: number, df: number): number {
	if (trivial(t, df)) return Math.log(trivialSf(t, df));
	if (df === Number.POSITIVE_INFINITY) return logNormalSf(t);
	if (t < 0) return Math.log1p(-tSf(-t, df));
	return logSideOf(split(t, df), false) - Math.LN2;
}

/** ln of the density. */
export function logTPdf(t: number, df: number): number {
	if (Number.isNaN(t) || !(df > 0)) return Number.NaN;
	if (df === Number.POSITIVE_INFINITY) return Math.log(normalPdf(0)) - 0.5 * t * t;
	// B(df/2, ½) √df; ln(1 + t²/df) stays exact for large df.
	const scale = lnBeta(df / 2, 0.5) + 0.5 * Math.log(df);
	const stretch = Math.abs(t) > HUGE ? 2 * Math.log(Math.abs(t)) - Math.log(df) : Math.log1p((t * t) / df);
	return -scale - ((df + 1) / 2) * stretch;
}

/** Up to here from the centre the mass between 0 and t is solved for, beyond it the tail. */
const CENTRE = 0.25;

/** The t > 0 with P(0 < T ≤ t) = mass ≤ CENTRE: Newton on its logarithm as a function of ln t, where it is concave. */
function centralQuantile(mass: number, df: number): number {
	// Next to 0 the density is flat, and t² would leave the doubles.
	const start = Math.log(mass) - logTPdf(0, df);
	if (start < -30) return Math.exp(start);
	const u = solveLogTail(
		(u) => {
			const t = Math.exp(u);
			const value = logSideOf(split(t, df), true) - Math.LN2;
			return { value, slope: Math.exp(u + logTPdf(t, df) - value) };
		},
		Math.log(mass),
		start,
		1 + 1 / df,
	);
	return Math.exp(u);
}

/** From e^this on the power law that the tail approaches from below is exact to double precision. */
const POWER_LAW_ALONE = 300;

/** ln t of the power law of the tail: ½ · (df/t²)^(df/2) / (df/2 · B(df/2, ½)) = q. */
function logPowerLaw(q: number, df: number): number {
	return 0.5 * Math.log(df) - (Math.log(2 * q) + Math.log(df / 2) + lnBeta(df / 2, 0.5)) / df;
}

/** ln t of the normal's quantile stretched (Abramowitz–Stegun 26.7.5), for df from 2 on. */
function logStretched(q: number, df: number): number {
	const z = normalIsf(q);
	const z2 = z * z;
	return Math.log(z * (1 + (z2 + 1) / (4 * df) + ((5 * z2 + 16) * z2 + 3) / (96 * df * df)));
}

/** The t > 0 with P(T > t) = q ≤ ¼: Newton on the log tail as a function of ln t, where it is concave. */
function tailQuantile(q: number, df: number): number {
	const law = logPowerLaw(q, df);
	if (law > POWER_LAW_ALONE) return Math.exp(law);
	const u = solveLogTail(
		(u) => {
			const t = Math.exp(u);
			const value = logTSf(t, df);
			return { value, slope: -Math.exp(u + logTPdf(t, df) - value) };
		},
		Math.log(q),
		df < 2 ? law : Math.min(law, logStretched(q, df)),
		1 + 1 / df,
	);
	return Math.exp(u);
}

/** The t with P(T > t) = q. */
export function tIsf(q: number, df: number): number {
	if (!(df > 0) || !(q >= 0 && q <= 1)) return Number.NaN;
	if (q === 0 || q === 1) return q === 0 ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
	if (df === Number.POSITIVE_INFINITY) return normalIsf(q);
	if (q === 0.5) return 0;
	if (Math.abs(q - 0.5) <= CENTRE) {
		const t = centralQuantile(Math.abs(0.5 - q), df);
		return q < 0.5 ? t : -t;
	}
	return q < 0.5 ? tailQuantile(q, df) : -tailQuantile(1 - q, df);
}
