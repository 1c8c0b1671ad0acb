/** Textbook formulas that src does not use: they are references for src/infer and generate test data. */
import type { FixedHorizonDesign } from "../../../src/infer/planning/fixedHorizon.js";
import { betaPoint } from "../../../src/infer/statistics/distributions/beta.js";
import { incompleteBeta, logBetaKernel } from "../../../src/infer/statistics/distributions/incompleteBeta.js";
import { incompleteGamma } from "../../../src/infer/statistics/distributions/incompleteGamma.js";
import { logNormalSf, normalCdf, normalIsf, normalSf } from "../../../src/infer/statistics/distributions/normal.js";
import { gaussLegendre } from "../../../src/infer/statistics/distributions/quadrature.js";
import { rootOf } from "../../../src/infer/statistics/distributions/root.js";
import { tIsf, tSf } from "../../../src/infer/statistics/distributions/studentT.js";
import { logSideOf, sideOf } from "../../../src/infer/statistics/distributions/tail.js";
import {
	type Adjustment,
	pooledMeanAdjustment,
	pooledRatioAdjustment,
} from "../../../src/infer/statistics/estimators/cuped.js";
import { isNoEstimate, type Level, type NoEstimate } from "../../../src/infer/statistics/estimators/estimate.js";
import { levelOf, meanVectorOfMoments } from "../../../src/infer/statistics/estimators/meanVector.js";
import {
	crossingProbabilities,
	crossingProbability,
	type GroupLook,
} from "../../../src/infer/statistics/groupSequential/boundaries.js";
import {
	ASYMPCS_TUNED_AT,
	halfWidthOneSided,
	logEOneSided,
	rho,
} from "../../../src/infer/statistics/sequential/asympCs.js";
import {
	type AsympDesign,
	asympInterval,
	type Estimated,
} from "../../../src/infer/statistics/sequential/asympEstimate.js";
import type { Bounds } from "../../../src/infer/statistics/sequential/bernoulliBounds.js";
import {
	type CoMoments,
	mergeCoMoments,
	noCoMoments,
	packedIndex,
	problemOfCoMoments,
} from "../../../src/infer/statistics/statistics/coMoments.js";
import { type Moments, NO_MOMENTS } from "../../../src/infer/statistics/statistics/moments.js";

/** Adds one value (Welford 1962). */
export function addValue(moments: Moments, value: number): Moments {
	const n = moments.n + 1;
	const delta = value - moments.mean;
	const mean = moments.mean + delta / n;
	return { n, mean, m2: moments.m2 + delta * (value - mean) };
}

/**
 * The moments of a list of values, in two passes with the correction of the mean's own rounding (Chan, Golub &
 * LeVeque, equation 1.7): the most exact of them.
 */
export function momentsOf(values: readonly number[]): Moments {
	const n = values.length;
	if (n === 0) return NO_MOMENTS;
	const rough = values.reduce((sum, value) => sum + value, 0) / n;
	let deviations = 0;
	let squares = 0;
	for (const value of values) {
		deviations += value - rough;
		squares += (value - rough) ** 2;
	}
	return { n, mean: rough + deviations / n, m2: Math.max(0, squares - (deviations * deviations) / n) };
}

/** Unbiased variance of the units' values, m2/(n − 1); NaN below 2 units. */
export function variance({ n, m2 }: Moments): number {
	return n < 2 ? Number.NaN : m2 / (n - 1);
}

/** Adds one unit with its k values. */
export function addRow(moments: CoMoments, row: readonly number[]): CoMoments {
	return mergeCoMoments(moments, { n: 1, means: row, m2: noCoMoments(row.length).m2 });
}

/** The co-moments of rows of k values each. */
export function coMomentsOf(k: number, rows: readonly (readonly number[])[]): CoMoments {
	return rows.reduce<CoMoments>(addRow, noCoMoments(k));
}

/** Unbiased covariance of variables i and j; NaN below 2 units or for a variable that is not there. */
export function covariance({ n, m2 }: CoMoments, i: number, j: number): number {
	return n < 2 ? Number.NaN : (m2[packedIndex(i, j)] ?? Number.NaN) / (n - 1);
}

/**
 * Equation 161, the approximation of `rho` that GrowthBook uses; 1.7 % off at 5 %, and valid like any fixed ρ.
 * Reproduces the published numbers of GrowthBook and confseq.
 */
export function approximateRho(alpha: number, tunedAt: number): number {
	const log = -2 * Math.log(alpha);
	return Math.sqrt((log + Math.log(log + 1)) / tunedAt);
}

/** Anytime p-value of the two-sided test of `estimate = 0` with standard error se at N units: equation 155. */
export function pValue(estimate: number, se: number, n: number, r: number): number {
	const v = n * r * r + 1;
	const s2 = (n * estimate * estimate) / (se * se);
	return Math.min(1, Math.sqrt(v) * Math.exp((-r * r * s2) / (2 * v)));
}

/**
 * Anytime p-value of the claim "above 0" for an estimate at `distance` above its line: the alpha at which the bound
 * of equation 134 touches the line at this ρ, √v/(2(exp(x) − 1)) with x as in equation 155; 1 on the null's side.
 */
export function pValueOneSided(distance: number, se: number, n: number, r: number): number {
	return distance > 0 ? Math.min(1, Math.exp(0 - logEOneSided(distance, se, n, r))) : 1;
}

/** Estimate and one-sided bounds, each at alpha, of challenger − slope·baseline. */
interface ContrastInterval {
	readonly estimate: number;
	readonly lower: number;
	readonly upper: number;
}

/**
 * The contrast μ_t − k·μ_c: SE² = V_t/n_t + k²·V_c/n_c, N = n_t + n_c, s² = N·SE² (statistics.md 2.1). A relative
 * claim (1 + r) is tested as a contrast with k = 1 + r, so the noise of the baseline is in the width. Means are compared
 * by asympEstimate.ts, which also knows covariates and ratios: this is the plain formula, against which that is tested.
 */
export function contrastInterval(
	challenger: Moments,
	baseline: Moments,
	slope: number,
	alpha: number,
	tunedAt = ASYMPCS_TUNED_AT,
): ContrastInterval {
	const n = challenger.n + baseline.n;
	const se2 = variance(challenger) / challenger.n + (slope * slope * variance(baseline)) / baseline.n;
	const estimate = challenger.mean - slope * baseline.mean;
	const width = halfWidthOneSided(Math.sqrt(n * se2), n, alpha, rho(2 * alpha, tunedAt));
	return { estimate, lower: estimate - width, upper: estimate + width };
}

/**
 * One-sided bounds of the ratio μ_t ÷ μ_c for a positive baseline: the k whose contrast is not excluded (Fieller's
 * construction). With g the half width for s = 1, k is excluded where (m_t − k·m_c)² > g²·N·(V_t/n_t + k²·V_c/n_c), a
 * quadratic inequality in k. null when the baseline's mean is not clearly above 0. Beside contrastInterval(), for the same
 * reason.
 */
export function ratioInterval(
	challenger: Moments,
	baseline: Moments,
	alpha: number,
): { readonly lower: number; readonly upper: number } | null {
	// The baseline alone: a contrast with weight 0 on the challenger, at the same level.
	const r = rho(2 * alpha, ASYMPCS_TUNED_AT);
	if (!(baseline.mean - halfWidthOneSided(Math.sqrt(variance(baseline)), baseline.n, alpha, r) > 0)) return null;
	const n = challenger.n + baseline.n;
	const g2 = n * halfWidthOneSided(1, n, alpha, r) ** 2;
	const square = baseline.mean ** 2 - (g2 * variance(baseline)) / baseline.n;
	const half = challenger.mean * baseline.mean;
	const rest = challenger.mean ** 2 - (g2 * variance(challenger)) / challenger.n;
	const discriminant = half * half - square * rest;
	if (!(square > 0 && discriminant >= 0)) return null;
	// The root without cancellation, and the other by Viète.
	const q = half >= 0 ? half + Math.sqrt(discriminant) : half - Math.sqrt(discriminant);
	const [x, y] = q === 0 ? [0, 0] : [q / square, rest / q];
	return { lower: Math.min(x, y), upper: Math.max(x, y) };
}

/** A lower and an upper bound, each one-sided at level alpha (equation 134). */
export function asympBounds(estimate: Estimated, { alpha, tunedAt }: AsympDesign): Bounds | NoEstimate {
	const checked = asympInterval(estimate, { alpha: 2 * alpha });
	if (isNoEstimate(checked)) return checked;
	const { value, variance, n } = estimate;
	const width = halfWidthOneSided(Math.sqrt(n * variance), n, alpha, rho(2 * alpha, tunedAt ?? ASYMPCS_TUNED_AT));
	return { lower: value - width, upper: value + width };
}

/** Anytime p-value of "the estimated thing equals `line`" against both sides (equation 155). */
export function asympPValue(
	estimate: Estimated,
	line: number,
	{ alpha, tunedAt }: AsympDesign,
): { readonly p: number } | NoEstimate {
	const checked = asympInterval(estimate, { alpha: alpha });
	if (isNoEstimate(checked)) return checked;
	const { value, variance, n } = estimate;
	return { p: pValue(value - line, Math.sqrt(variance), n, rho(alpha, tunedAt ?? ASYMPCS_TUNED_AT)) };
}

/**
 * Anytime p-value of the claim that the estimated thing lies above (below) `line`, against all that is on the other
 * side, the line included. With a non-inferiority margin the line is −margin (or +margin where more is worse). It is
 * at most alpha exactly where the bound of asympBounds passes the line.
 */
export function asympOneSidedPValue(
	side: "above" | "below",
	estimate: Estimated,
	line: number,
	{ alpha, tunedAt }: AsympDesign,
): { readonly p: number } | NoEstimate {
	const checked = asympInterval(estimate, { alpha: 2 * alpha });
	if (isNoEstimate(checked)) return checked;
	const { value, variance, n } = estimate;
	const distance = side === "above" ? value - line : line - value;
	return { p: pValueOneSided(distance, Math.sqrt(variance), n, rho(2 * alpha, tunedAt ?? ASYMPCS_TUNED_AT)) };
}

/** p-value that is valid at every look and at any stopping time: min(1, 1/e). */
export function anytimePValue(logE: number): number {
	return Math.min(1, Math.exp(-logE));
}

/** θ for means from the arms' (Y, X): 0, no adjustment, where the covariate does not vary. */
export function meanAdjustment(arms: readonly CoMoments[]): Adjustment | NoEstimate {
	const problem = problemOfArms(2, arms);
	return problem === "" ? pooledMeanAdjustment(arms) : { reason: problem };
}

/** θ for ratios from the arms' (S, N, S before, N before), of the linearised ratios, pooled over arms. */
export function ratioAdjustment(arms: readonly CoMoments[]): Adjustment | NoEstimate {
	const problem = problemOfArms(4, arms);
	return problem === "" ? pooledRatioAdjustment(arms) : { reason: problem };
}

function problemOfArms(k: number, arms: readonly CoMoments[]): string {
	let units = false;
	for (const arm of arms) if (arm.n !== 0) units = true;
	if (!units) return "there are no units";
	for (const arm of arms) {
		const problem = problemOfCoMoments(k, arm);
		if (problem !== "") return problem;
	}
	return "";
}

/**
 * Share of units with a 1 (values are 0 or 1): variance p(1 − p)/n, the normal law. At a share of 0 or 1 this
 * variance is 0 and gives no result; the score test of fixed/proportions.ts and the exact mixtures do.
 */
export function proportionLevel(moments: Moments): Level | NoEstimate {
	const vector = meanVectorOfMoments(moments);
	if (isNoEstimate(vector)) return vector;
	const { n, mean: p } = moments;
	if (p < 0 || p > 1) return { reason: `a share of ${p} is not between 0 and 1` };
	// For values of 0 and 1 m2 is n·p(1 − p); a share from per-unit shares has less and belongs to meanLevel.
	if (Math.abs(moments.m2 - n * p * (1 - p)) > 1e-6 * n) return { reason: "values other than 0 and 1 in a proportion" };
	return levelOf(
		{ n, means: [p], covariance: [(p * (1 - p)) / n], degreesOfFreedom: Number.POSITIVE_INFINITY },
		p,
		[1],
	);
}

/** ∫ f over [from, to], both finite, by one Gauss–Legendre rule of order n. f is not called at the ends. */
export function integrate(f: (x: number) => number, from: number, to: number, n: number): number {
	if (!(Number.isFinite(from) && Number.isFinite(to)))
		throw new RangeError(`An integral from ${from} to ${to}; both ends must be finite.`);
	const { nodes, weights } = gaussLegendre(n);
	const half = (to - from) / 2;
	const middle = from + half;
	let sum = 0;
	for (let i = 0; i < nodes.length; i++) sum += (weights[i] as number) * f(middle + half * (nodes[i] as number));
	return sum * half;
}

/** ln Φ(x). */
export function logNormalCdf(x: number): number {
	return logNormalSf(-x);
}

/** P(T ≤ t). */
export function tCdf(t: number, df: number): number {
	return tSf(-t, df);
}

/** The t with P(T ≤ t) = p: −∞ at 0, ∞ at 1, NaN outside [0, 1]. */
export function tQuantile(p: number, df: number): number {
	return 0 - tIsf(p, df);
}

/** ln of the density. */
export function logBetaPdf(x: number, a: number, b: number): number {
	if (!valid(a, b) || Number.isNaN(x)) return Number.NaN;
	if (x < 0 || x > 1) return Number.NEGATIVE_INFINITY;
	if (x === 0) return a > 1 ? Number.NEGATIVE_INFINITY : a < 1 ? Number.POSITIVE_INFINITY : Math.log(b);
	if (x === 1) return b > 1 ? Number.NEGATIVE_INFINITY : b < 1 ? Number.POSITIVE_INFINITY : Math.log(a);
	return logBetaKernel(x, 1 - x, a, b) - Math.log(x) - Math.log1p(-x);
}

/** I_x(a, b) = P(X ≤ x). */
export function betaCdf(x: number, a: number, b: number): number {
	return value(x, a, b, true);
}

/** 1 − I_x(a, b) = P(X > x). */
export function betaSf(x: number, a: number, b: number): number {
	return value(x, a, b, false);
}

function value(x: number, a: number, b: number, lower: boolean): number {
	if (!valid(a, b) || Number.isNaN(x)) return Number.NaN;
	if (x <= 0 || x >= 1) return x <= 0 === lower ? 0 : 1;
	return sideOf(incompleteBeta(x, 1 - x, a, b), lower);
}

/** The x with P(X > x) = q, for q that 1 − q would lose. */
export function betaIsf(q: number, a: number, b: number): number {
	if (!valid(a, b) || !(q >= 0 && q <= 1)) return Number.NaN;
	if (q === 0 || q === 1) return 1 - q;
	return q <= 0.5 ? betaPoint(false, Math.log(q), a, b).x : betaPoint(true, Math.log1p(-q), a, b).x;
}

/** ln P(a, x). */
export function logGammaP(a: number, x: number): number {
	return logSideOf(incompleteGamma(x, a), true);
}

/** P(X ≤ x). */
export function chiSquareCdf(x: number, df: number): number {
	return gammaP(df / 2, x / 2);
}

/**
 * The classical designs at equally spaced looks. pocock: the same z at all of them; obrien-fleming: z_k = C·√(K/k). The
 * constant, C, is z at the last look (Pocock 1977; O'Brien & Fleming 1979). No design here uses them, for their looks must come
 * as planned: their published constants are what the recursion is tested against.
 */
export function classicalBoundaries(
	kind: "pocock" | "obrien-fleming",
	lookCount: number,
	alpha: number,
	sides: 1 | 2,
): readonly GroupLook[] {
	const times = Array.from({ length: lookCount }, (_, k) => (k + 1) / lookCount);
	const looksAt = (constant: number): { information: number; z: number }[] =>
		times.map((t) => ({ information: t, z: kind === "pocock" ? constant : constant / Math.sqrt(t) }));
	const excess = (constant: number): number =>
		Math.log(crossingProbability(looksAt(constant), sides, 0)) - Math.log(alpha);
	// No constant is below that of one look, and Bonferroni over the looks is above all.
	const least = normalIsf(alpha / sides);
	const constant = lookCount === 1 ? least : rootOf(excess, least, normalIsf(alpha / sides / lookCount) + 1e-9, 1e-11);
	let spent = 0;
	const crossings = crossingProbabilities(looksAt(constant), sides, 0);
	return looksAt(constant).map(({ information, z }, k) => {
		spent += "reason" in crossings ? 0 : (crossings[k]?.above ?? 0) + (crossings[k]?.below ?? 0);
		return { information, spent, z, nominalP: sides * normalSf(z), note: "" };
	});
}

/** Power at N units in both arms together for a true distance from the line: the inverse of fixedUnits(). */
export function fixedPower(design: FixedHorizonDesign, distance: number, units: number): number {
	const z = normalIsf(design.alpha / design.sides) * (design.errorRatio ?? 1);
	const { varianceT, varianceC, shareT, shareC } = design;
	const shift = distance / Math.sqrt(((varianceT / shareT + varianceC / shareC) * (shareT + shareC)) / units);
	return normalCdf(shift - z) + (design.sides === 2 ? normalCdf(-shift - z) : 0);
}

/** P(a, x) = P(X ≤ x). */
export function gammaP(a: number, x: number): number {
	if (!valid(a, 1) || Number.isNaN(x)) return Number.NaN;
	return x <= 0 || x === Number.POSITIVE_INFINITY ? (x <= 0 ? 0 : 1) : sideOf(incompleteGamma(x, a), true);
}

function valid(a: number, b: number): boolean {
	return a > 0 && b > 0 && a < Number.POSITIVE_INFINITY && b < Number.POSITIVE_INFINITY;
}
