/** How far a metric can move: a margin beyond it is never broken, and an improvement beyond it never reached. */
import type { Effect, Metric } from "../resource.js";

interface Bounds {
	readonly lo: number;
	readonly hi: number;
}

/** Bounds of a level of the metric; null: it may be anything. */
function boundsOf({ type, source, range, missing }: Metric["spec"]): Bounds | null {
	if (type === "rate") return { lo: 0, hi: 1 };
	if (source === "latency") return { lo: 0, hi: Number.POSITIVE_INFINITY };
	if (type !== "mean" || range === null) return null;
	// A unit without an outcome counts as 0, wherever the range lies.
	return missing === "zero" ? { lo: Math.min(0, range.lo), hi: Math.max(0, range.hi) } : range;
}

/**
 * The most by which the metric can get worse (or better) from any baseline, as a share of that or in its own unit.
 * Infinity: there is no such bound.
 */
export function reachOf({ spec }: Metric, way: "worse" | "better", kind: Effect["kind"]): number {
	const bounds = boundsOf(spec);
	if (bounds === null) return Number.POSITIVE_INFINITY;
	const { lo, hi } = bounds;
	if (kind === "absolute") return hi - lo;
	// A share of what may be negative, or nought, has no bound.
	if (lo < 0 || hi <= 0) return Number.POSITIVE_INFINITY;
	const falls = (spec.direction === "up") === (way === "worse");
	if (falls) return hi === Number.POSITIVE_INFINITY ? 1 : (hi - lo) / hi;
	return lo === 0 ? Number.POSITIVE_INFINITY : (hi - lo) / lo;
}
