/**
 * The result of one claim. Stored with every decision and printed by `weir decisions`. With the stored evidence each number
 * can be recomputed.
 */

import type { Effect } from "../../declare/resources/resource.js";

/** One tested claim and its result. */
export interface Finding {
	readonly metric: string;
	readonly arm: string;
	readonly role: "goal" | "guardrail";
	/** Set for harm in a segment: the claim for its units only. value null = all rarer values together. */
	readonly segment?: { readonly name: string; readonly value: string | null };
	/** The test, see methodOf(). */
	readonly method: Method;
	/** Units with a value, and the level: mean, share or ratio, without covariate adjustment. */
	readonly baseline: { readonly n: number; readonly mean: number };
	readonly challenger: { readonly n: number; readonly mean: number };
	/**
	 * Challenger against baseline, positive is better; bounds are anytime-valid, the lower at `alpha`, the upper at `harmAlpha`.
	 * For an absolute claim the difference; for a quantile the difference of slow shares; for a relative claim
	 * challenger ÷ baseline − 1.
	 */
	readonly improvement: number | null;
	/** Both null = unknown; one null = a relative effect without a bound on this side. */
	readonly lower: number | null;
	readonly upper: number | null;
	/** Standard error of the improvement; null = none: exact tests do not use it. */
	readonly standardError: number | null;
	/**
	 * The line for a pass on the same scale: −margin for a guardrail, improveBy for the goal. For a quantile with `slow` the
	 * tolerance of slow requests; harm has no tolerance.
	 */
	readonly line: number;
	/** For a quantile with separate thresholds of the arms. Absent = one threshold, not frozen, or not a quantile. */
	readonly slow?: SlowRequests;
	/** Whether the scale is a share of the baseline. */
	readonly relative: boolean;
	/** Level at which it is proved better than the line. */
	readonly alpha: number;
	/** Level at which harm is proved. */
	readonly harmAlpha: number;
	/**
	 * ln of the e-value for "better than the line": proved from −ln(alpha) on; also the input of e-BH. Within ±LOG_E_MAX; null =
	 * not tested.
	 */
	readonly logE: number | null;
	/** harm: proved worse than the line (guardrail) or than zero (goal). pass: proved better than the line. */
	readonly verdict: "harm" | "pass" | "open" | "unknown";
	/** Set for a goal with planned looks after the first one. Only the look decides a pass, not `lower` and `logE`. */
	readonly look?: FindingLook;
	/** Why it is unknown, or empty. */
	readonly note: string;
}

/** Latency thresholds of the arms: a longer request is slow. */
export interface SlowRequests {
	/** The frozen baseline's quantile. */
	readonly baselineMs: number;
	/** The same plus a guardrail's margin, or minus a goal's improvement. */
	readonly challengerMs: number;
	readonly effect: Effect;
}

/** The planned look that proved a goal, else the last one. */
export interface FindingLook {
	/** 1, 2, … */
	readonly number: number;
	/** Its information, see informationUnits(). */
	readonly units: number;
	/** Distance of the goal above its line in standard errors, see plannedTest(). null = not testable. */
	readonly z: number | null;
	/** The goal is proved if z reaches it. */
	readonly boundary: number;
	/** As observed at the look. null = none, or not recorded. */
	readonly improvement: number | null;
	/**
	 * Lower bound of the improvement, valid over all planned looks: at least the line exactly if z reaches the boundary.
	 * null = none, or not recorded.
	 */
	readonly lower: number | null;
}

/** As stored: JSON has no infinite number. */
export function storedBound(value: number | null): number | null {
	return value !== null && Number.isFinite(value) ? value : null;
}

/** Both ends of an interval, infinite without a bound; null = unknown. */
export function endsOf({
	lower,
	upper,
}: Pick<Finding, "lower" | "upper">): { readonly lower: number; readonly upper: number } | null {
	if (lower === null && upper === null) return null;
	return { lower: lower ?? Number.NEGATIVE_INFINITY, upper: upper ?? Number.POSITIVE_INFINITY };
}

export type Method =
	/** Exact, at any number of units: values in [0, 1], or in a declared range and rescaled to it. */
	| "bernoulli-mixture"
	/** Exact, for values in a declared range, and uses their variance: the mean of the e-values of betting and the mixture. */
	| "betting"
	/** Asymptotic, from ASYMPCS_MIN_UNITS on: means, with or without a covariate, and ratios of sums. */
	| "asympcs";

/** Beyond this an e-value is no finite double. */
export const LOG_E_MAX = 700;
