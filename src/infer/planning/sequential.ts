/**
 * Units that Weir's sequential tests need to prove a claim, from the tests themselves on data with exactly the assumed means.
 * Deterministic, no simulation.
 *
 * At N units the test proves the claim with probability π if it does so on the data's 1 − π quantile: both arms' means
 * moved against the claim along the likeliest way, z_π standard errors of the contrast in all. This is the probability *at* N;
 * to stop *by* N one lucky earlier look is enough, which is worth EARLY standard errors. Simulated medians and 80 % quantiles
 * are within 10 % of these results, most within 6 % (test/infer/planning/sequential.test.ts).
 *
 * For means in a range, betting depends on the whole distribution: a Beta with the assumed mean and variance (boundedLaw.ts).
 * If the variance is unknown, the plan uses only the mixture at half the level, which is an upper bound for the mean of the
 * two e-values.
 */
import { normalIsf } from "../statistics/distributions/normal.js";
import { type GridSample, gridQuantiles, quantileInside } from "../statistics/quantileGrid.js";
import { ASYMPCS_MIN_UNITS, ASYMPCS_TUNED_AT, halfWidthOneSided, rho } from "../statistics/sequential/asympCs.js";
import { logMean } from "../statistics/sequential/averagedTest.js";
import type { Contrast, Sample, Side } from "../statistics/sequential/bernoulliArms.js";
import { type BetaPrior, logEvidence, PRIOR_RATE } from "../statistics/sequential/bernoulliMixture.js";
import { differenceLine, logBettingEvidence, ratioLine } from "../statistics/sequential/betting.js";
import { unitPullMax } from "../statistics/sequential/tails.js";
import { boundedLaw, capitalOf } from "./boundedLaw.js";

/** The test, and the assumptions about one unit of the baseline. */
export type SequentialMethod =
	/** quantile: the shares are those of slow requests at it, and the claim is of the quantile itself (quantileGrid.ts). */
	| { readonly test: "bernoulli-mixture"; readonly prior: BetaPrior; readonly quantile?: number }
	/** farthest: maximum distance of a value from the mean; absent = unknown. */
	| { readonly test: "asympcs"; readonly variance: number; readonly farthest?: number }
	/** With the mixture, as the mean of both e-values. variance null = unknown. */
	| {
			readonly test: "betting";
			readonly variance: number | null;
			readonly range: { readonly lo: number; readonly hi: number };
	  };

/** Units of the arms by design, in any unit of measure. */
export interface ArmWeights {
	readonly challenger: number;
	readonly baseline: number;
}

export interface SequentialClaim {
	readonly method: SequentialMethod;
	readonly direction: "up" | "down";
	readonly baselineMean: number;
	/** Line and effects are differences, or shares of the baseline's mean; positive is better. */
	readonly relative: boolean;
	/** The claim is an improvement above this line. Negative for a margin. */
	readonly line: number;
	/** One-sided level of this one claim. */
	readonly alpha: number;
	readonly shares: ArmWeights;
}

/** Maximum of units in a plan. */
export const PLANNED_UNITS_MAX = 1e10;

/**
 * Standard errors by which stopping by N is easier than at N. Measured: 0.15 to 0.25 over rates, failures and means,
 * medians and 80 % quantiles, 1,000 runs each, looks every 2 % more units.
 */
const EARLY = 0.2;

/**
 * Extra standard errors for a quantile's grid, whose last cell decides. Measured as above, at p90 and p99.
 */
const LATE = 0.3;

/** Relative precision of a number of units. */
const PRECISION = 1e-3;

/** Whether N units of both arms together prove the claim with probability `power`, for a true effect. */
export function provedAt(claim: SequentialClaim, effect: number, units: number, power: number): boolean {
	const { direction, relative, line, alpha, shares, method, baselineMean } = claim;
	const sign = direction === "up" ? 1 : -1;
	const slope = relative ? 1 + sign * line : 1;
	const all = shares.challenger + shares.baseline;
	const n: Units = { t: (units * shares.challenger) / all, c: (units * shares.baseline) / all };
	const treated = baselineMean + sign * effect * (relative ? Math.abs(baselineMean) : 1);
	const z = normalIsf(1 - power) - EARLY;
	if (method.test === "asympcs") {
		if (Math.min(n.t, n.c) < ASYMPCS_MIN_UNITS) return false;
		const s = Math.sqrt(units * (method.variance / n.t + (slope * slope * method.variance) / n.c));
		const pull = (method.farthest ?? 0) * Math.max(1 / n.t, Math.abs(slope) / n.c);
		if (pull > (unitPullMax(alpha) * s) / Math.sqrt(units)) return false;
		const distance = sign * (treated - slope * baselineMean - (relative ? 0 : sign * line));
		const width = halfWidthOneSided(s, units, alpha, rho(2 * alpha, ASYMPCS_TUNED_AT));
		return distance - (z * s) / Math.sqrt(units) > width;
	}
	const range = method.test === "betting" ? method.range : { lo: 0, hi: 1 };
	if (!(treated >= range.lo && treated <= range.hi)) return false;
	const means = { t: treated, c: baselineMean };
	if (method.test === "betting") return logAveraged(claim, method, means, n, z) >= -Math.log(alpha);
	const at = moved(means, n, coins(means), slope, sign * z);
	if (!(logMixture(claim, method.prior, at, n, { lo: 0, hi: 1 }) >= -Math.log(alpha))) return false;
	if (method.quantile === undefined) return true;
	return insideAt(claim, method.quantile, moved(means, n, coins(means), slope, sign * (z + LATE)), n);
}

/** For a quantile: assumes the same ratio of the arms' slow requests at every threshold as at the middle one. */
function insideAt({ line, alpha, shares }: SequentialClaim, quantile: number, at: Pair, n: Units): boolean {
	const sample = (units: number, mean: number): GridSample => ({
		n: units,
		slow: gridQuantiles(quantile).map((q) => inUnit((mean * (1 - q)) / (1 - quantile))),
	});
	return quantileInside({ quantile, tolerance: 0 - line, shares }, sample(n.t, at.t), sample(n.c, at.c), alpha);
}

/** One number for each of the two arms. */
interface Pair {
	readonly t: number;
	readonly c: number;
}
type Units = Pair;

const coins = ({ t, c }: Pair): Pair => ({ t: t * (1 - t), c: c * (1 - c) });

/** Both arms' means, z standard errors of t − slope·c against the claim, the likeliest way. */
function moved(means: Pair, n: Units, variances: Pair, slope: number, z: number): Pair {
	const errorT = variances.t / n.t;
	const errorC = (slope * variances.c) / n.c;
	const se = Math.sqrt(errorT + slope * errorC);
	const by = se > 0 ? z / se : 0;
	return { t: means.t - by * errorT, c: means.c + by * errorC };
}

/** By the mixture, for values in a range as shares of it; a share of the baseline needs no lower end. */
function logMixture(
	{ direction, relative, line, shares }: SequentialClaim,
	prior: BetaPrior,
	means: Pair,
	n: Units,
	range: { readonly lo: number; readonly hi: number },
): number {
	const sign = direction === "up" ? 1 : -1;
	const lo = relative ? 0 : range.lo;
	const width = range.hi - lo;
	const sample = (units: number, mean: number): Sample => ({ n: units, sum: units * inUnit((mean - lo) / width) });
	const contrast: Contrast = relative
		? { slope: Math.max(0, 1 + sign * line), offset: 0 }
		: differenceLine((sign * line) / width);
	return logEvidence(sideOf(direction), sample(n.t, means.t), sample(n.c, means.c), contrast, prior, shares);
}

/** The mean of both e-values, as in compareShares(). */
function logAveraged(
	claim: SequentialClaim,
	{ variance, range }: Extract<SequentialMethod, { readonly test: "betting" }>,
	means: Pair,
	n: Units,
	z: number,
): number {
	const { direction, relative, line } = claim;
	const sign = direction === "up" ? 1 : -1;
	const { lo, hi } = range;
	const width = hi - lo;
	const widest = (mean: number): number => (mean - lo) * (hi - mean);
	// Nearer to an end of the range there is less room: the same part of the widest.
	const part = variance === null ? 1 : Math.min(1, variance / widest(claim.baselineMean));
	const spread = (mean: number): number => part * widest(mean);
	const slope = relative ? 1 + sign * line : 1;
	const at = moved(means, n, { t: spread(means.t), c: spread(means.c) }, slope, sign * z);
	const mixture = logMixture(claim, PRIOR_RATE, at, n, range);
	if (variance === null) return mixture - Math.LN2;
	const capital = (arm: "t" | "c") => {
		const law = boundedLaw((means[arm] - lo) / width, spread(means[arm]) / width / width);
		return capitalOf(law, Math.floor(n[arm]), (at[arm] - lo) / width);
	};
	const contrast = relative
		? ratioLine(Math.max(0, 1 + sign * line), lo / width)
		: differenceLine((sign * line) / width);
	const bets = logBettingEvidence(sideOf(direction), capital("t"), capital("c"), contrast);
	return typeof bets === "number" ? logMean(mixture, bets) : mixture - Math.LN2;
}

const sideOf = (direction: "up" | "down"): Side => (direction === "up" ? "above" : "below");

const inUnit = (mean: number): number => Math.min(1, Math.max(0, mean));

/** Units of both arms together to prove the claim with probability `power`; null = above PLANNED_UNITS_MAX. */
export function unitsToProof(claim: SequentialClaim, effect: number, power: number): number | null {
	// On the line or on its wrong side no claim can be proved.
	if (!(effect > claim.line)) return null;
	let hi = 16;
	while (!provedAt(claim, effect, hi, power)) {
		hi *= 2;
		if (hi > PLANNED_UNITS_MAX) return null;
	}
	let lo = hi / 2;
	while (hi - lo > Math.max(1, PRECISION * hi)) {
		const middle = (lo + hi) / 2;
		if (provedAt(claim, effect, middle, power)) hi = middle;
		else lo = middle;
	}
	return Math.ceil(hi);
}

/**
 * The least true effect that N units of both arms together prove to be above the line with probability `power`; null = not
 * even the largest possible one.
 */
export function detectableEffect(claim: SequentialClaim, units: number, power: number): number | null {
	return leastProved(claim.line, room(claim, claim.direction), (effect) => provedAt(claim, effect, units, power));
}

/** The least margin below a true effect of `effect` that N units prove; for guardrails. null = none. */
export function detectableMargin(claim: SequentialClaim, effect: number, units: number, power: number): number | null {
	const worse = claim.direction === "up" ? "down" : "up";
	return leastProved(-effect, room(claim, worse), (margin) =>
		provedAt({ ...claim, line: -margin }, effect, units, power),
	);
}

/** Largest possible move of the mean in this direction, on the claim's scale; null = unbounded. */
function room({ method, baselineMean, relative }: SequentialClaim, way: "up" | "down"): number | null {
	if (method.test === "asympcs") return null;
	const { lo, hi } = method.test === "betting" ? method.range : { lo: 0, hi: 1 };
	const difference = way === "up" ? hi - baselineMean : baselineMean - lo;
	return relative ? (baselineMean > 0 ? difference / baselineMean : null) : difference;
}

/** Doublings of the search before it gives up: from a millionth of a unit to 10⁹. */
const DOUBLINGS = 50;
const HALVINGS = 40;

/** The least x above `from` that is proved, if `proved` is monotone; null = none up to `end`. */
export function leastProved(from: number, end: number | null, proved: (x: number) => boolean): number | null {
	let step = 1e-6;
	let lo = from;
	let hi = from + step;
	for (let count = 0; !proved(hi); count++) {
		if (count === DOUBLINGS || (end !== null && hi >= end)) return null;
		lo = hi;
		step *= 2;
		hi = end === null ? from + step : Math.min(end, from + step);
	}
	for (let count = 0; count < HALVINGS && hi - lo > PRECISION * Math.abs(hi - from); count++) {
		const middle = (lo + hi) / 2;
		if (proved(middle)) hi = middle;
		else lo = middle;
	}
	return hi;
}
