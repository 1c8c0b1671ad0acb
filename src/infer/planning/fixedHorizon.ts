/**
 * Classical planning of a fixed-horizon test: power, units and detectable effect of a comparison of two means by the normal
 * distribution. For comparison: Weir's sequential tests need more units, because they are valid at any time (sequential.ts).
 *
 * All in terms of the *distance* from the line that is tested: the true effect for a test against 0, the true effect
 * + margin for non-inferiority, the true effect − the least improvement for superiority by a margin.
 * Source: π = Φ(d/σ − z) + Φ(−d/σ − z) two-sided, N·σ² = V_t/w_t + V_c/w_c for shares w of N units. With a score test's
 * error z is z·ratio (Farrington & Manning, Statistics in Medicine 9, 1990).
 */
import { normalCdf, normalIsf } from "../statistics/distributions/normal.js";
import { rootOf } from "../statistics/distributions/root.js";

export interface FixedHorizonDesign {
	/** Error rate of this one test; divide it by the number of tests for Bonferroni. */
	readonly alpha: number;
	readonly sides: 1 | 2;
	/** Variance of one unit's value in each arm. */
	readonly varianceT: number;
	readonly varianceC: number;
	/** Shares of the units, in any unit of measure. */
	readonly shareT: number;
	readonly shareC: number;
	/** Standard error that the test divides by ÷ the true one, if they differ (a score test); absent = 1. */
	readonly errorRatio?: number;
}

/** Standard error of the difference at N units in both arms together. */
function standardError({ varianceT, varianceC, shareT, shareC }: FixedHorizonDesign, units: number): number {
	const total = shareT + shareC;
	return Math.sqrt(((varianceT / shareT + varianceC / shareC) * total) / units);
}

/**
 * Units in both arms together, not rounded, that detect the distance with probability `power`; Infinity for a distance that
 * the test cannot detect (0, or negative if one-sided).
 */
export function fixedUnits(design: FixedHorizonDesign, distance: number, power: number): number {
	if (distance === 0 || (design.sides === 1 && distance < 0)) return Number.POSITIVE_INFINITY;
	return (standardError(design, 1) * (shiftFor(design, power) / distance)) ** 2;
}

/** Standard errors between the truth and the line at which the power is reached. */
function shiftFor({ alpha, sides, errorRatio = 1 }: FixedHorizonDesign, power: number): number {
	if (!(alpha > 0 && alpha < 1 && power > alpha && power < 1))
		throw new RangeError(`no test has alpha ${alpha} and power ${power}`);
	const z = normalIsf(alpha / sides) * errorRatio;
	const oneSided = z + normalIsf(1 - power);
	if (sides === 1) return oneSided;
	// The other tail adds power, so less shift is needed; at usual powers the difference is below a double's precision.
	const powerAt = (shift: number): number => normalCdf(shift - z) + normalCdf(-shift - z) - power;
	return powerAt(oneSided) <= 0 ? oneSided : rootOf(powerAt, 0, oneSided, 1e-13);
}
