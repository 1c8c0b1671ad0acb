/**
 * Metrics whose values are declared to lie in [lo, hi] (a score from 1 to 5, a latency cut at 30 s), brought to [0, 1]
 * for the exact tests and their bounds back. The range must be declared beforehand and hold for every value; a range
 * wider than the values costs units, by its square where the Bernoulli mixture is used.
 */
import type { NoEstimate } from "../estimators/estimate.js";
import type { Sample } from "./bernoulliArms.js";
import type { Bounds } from "./bernoulliBounds.js";

export interface Range {
	readonly lo: number;
	readonly hi: number;
}

/** Rounding that a sum of n values may carry, as a share of n ranges. */
const ROUNDING = 1e-9;

/** Units and sum of the values as shares of the range; a reason where they cannot be values within it. */
export function toUnitInterval({ n, sum }: Sample, range: Range): Sample | NoEstimate {
	const width = widthOf(range);
	if (typeof width !== "number") return width;
	if (!(n >= 0 && n < Number.POSITIVE_INFINITY)) return { reason: `the count of units is ${n}` };
	if (!Number.isFinite(sum)) return { reason: `the sum of the values is ${sum}` };
	const shares = (sum - n * range.lo) / width;
	if (!(shares >= -ROUNDING * n && shares <= n * (1 + ROUNDING)))
		return { reason: `values outside the declared range [${range.lo}, ${range.hi}]` };
	return { n, sum: Math.min(n, Math.max(0, shares)) };
}

/** A difference of means (a margin, a line) as a share of the range. */
export function differenceToUnit(difference: number, range: Range): number | NoEstimate {
	const width = widthOf(range);
	return typeof width === "number" ? difference / width : width;
}

/** Bounds of a difference of shares as bounds of the difference of the metric's means. */
export function differenceFromUnit({ lower, upper }: Bounds, { lo, hi }: Range): Bounds {
	return { lower: lower * (hi - lo), upper: upper * (hi - lo) };
}

/** Bounds of one mean of shares as bounds of the metric's mean. */
export function meanFromUnit({ lower, upper }: Bounds, { lo, hi }: Range): Bounds {
	return { lower: lo + lower * (hi - lo), upper: lo + upper * (hi - lo) };
}

function widthOf({ lo, hi }: Range): number | NoEstimate {
	const width = hi - lo;
	return width > 0 && width < Number.POSITIVE_INFINITY ? width : { reason: `[${lo}, ${hi}] is no range` };
}
