/**
 * Integer arithmetic of the hash space: arm regions, live points and taken-over points (design: "Assignment, bit
 * for bit"). Every product stays below 2⁵³ (10⁶ · ARMS_MAX · ARM_WEIGHT_MAX = 1.6·10¹³), and a double divided by
 * an integer and floored is exact there: the quotient's error is below the distance 1/Σw to the next integer.
 */
import { ARM_WEIGHT_MAX, ARMS_MAX, PPM } from "../../limits/index.js";

if (PPM * ARMS_MAX * ARM_WEIGHT_MAX > Number.MAX_SAFE_INTEGER) throw new RangeError("arm regions would be inexact");

/** A half-open range of points [loPpm, hiPpm). */
export interface Region {
	readonly loPpm: number;
	readonly hiPpm: number;
}

/** floor(dividend / divisor) of non-negative safe integers, exactly. */
function floorDivide(dividend: number, divisor: number): number {
	return (dividend - (dividend % divisor)) / divisor;
}

/**
 * Regions of the arms in declared order; together they are [0, 10⁶), and an arm of weight 0 has an empty one.
 * @param weights integers 0…ARM_WEIGHT_MAX, not all 0
 */
export function armRegions(weights: readonly number[]): readonly Region[] {
	const sum = weights.reduce((total, weight) => total + weight, 0);
	if (sum === 0) return weights.map(() => ({ loPpm: 0, hiPpm: 0 }));
	let cumulative = 0;
	let lo = 0;
	return weights.map((weight) => {
		cumulative += weight;
		const hi = floorDivide(PPM * cumulative, sum);
		const region = { loPpm: lo, hiPpm: hi };
		lo = hi;
		return region;
	});
}

/**
 * The live points of an arm: the first of its region, so that share 10⁶ is exactly what a plain ramp has live.
 * @param size points of the region @param sharePpm how much of its allocation the arm has live
 */
export function armPoints(size: number, allocationPpm: number, sharePpm: number): number {
	return sharePoints(size, sharePoints(allocationPpm, sharePpm));
}

/** floor(size × share / 10⁶): the first points of a region that are live, or of an entry that are taken over. */
export function sharePoints(sizePoints: number, sharePpm: number): number {
	return floorDivide(sizePoints * sharePpm, PPM);
}
