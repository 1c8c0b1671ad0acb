/** Largest possible change of a metric: a larger margin is never exceeded, a larger improvement never reached. */
import type { Effect, Metric } from "../resource.js";

interface Bounds {
	readonly lo: number;
	readonly hi: number;
}

/** Range of the metric's mean; null: no limit. */
function boundsOf({ type, source, range, missing }: Metric["spec"]): Bounds | null {
	if (type === "rate") return { lo: 0, hi: 1 };
	if (source === "latency") return { lo: 0, hi: Number.POSITIVE_INFINITY };
	if (type !== "mean" || range === null) return null;
	// A unit without an outcome counts as 0, also outside the range.
	return missing === "zero" ? { lo: Math.min(0, range.lo), hi: Math.max(0, range.hi) } : range;
}

/** The largest worsening (or improvement) from any baseline, relative or in the metric's own unit; Infinity: no limit. */
export function largestChange({ spec }: Metric, way: "worse" | "better", kind: Effect["kind"]): number {
	const bounds = boundsOf(spec);
	if (bounds === null) return Number.POSITIVE_INFINITY;
	const { lo, hi } = bounds;
	if (kind === "absolute") return hi - lo;
	// A share of a value that may be negative or 0 has no limit.
	if (lo < 0 || hi <= 0) return Number.POSITIVE_INFINITY;
	const falls = (spec.direction === "up") === (way === "worse");
	if (falls) return hi === Number.POSITIVE_INFINITY ? 1 : (hi - lo) / hi;
	return lo === 0 ? Number.POSITIVE_INFINITY : (hi - lo) / lo;
}
