/**
 * What the analysis says of one claim. A value: stored with every decision, printed by `weir decisions`. With the
 * stored evidence it holds all that is needed to make each number again.
 */

import type { Effect } from "../../declare/resources/resource.js";

/** One claim that was tested: which metric of which arm against what, and how it came out. */
export interface Finding {
	readonly metric: string;
	readonly arm: string;
	readonly role: "goal" | "guardrail";
	/** Only where harm was found in a segment: the claim among these units alone. value null: all rarer values together. */
	readonly segment?: { readonly name: string; readonly value: string | null };
	/** What it was tested by, see methodOf(). */
	readonly method: Method;
	/** Units with a value, and the level: mean, share or ratio (as it was, not adjusted by a covariate). */
	readonly baseline: { readonly n: number; readonly mean: number };
	readonly challenger: { readonly n: number; readonly mean: number };
	/**
	 * Challenger against baseline, turned so that positive is better; bounds hold at all looks, the lower at `alpha`,
	 * the upper at `harmAlpha`. A difference where the claim is absolute or about a quantile (then of slow shares), a
	 * share of the baseline (challenger ÷ baseline − 1) where it is relative.
	 */
	readonly improvement: number | null;
	/** null: unknown, both of them; or one of them, a share of the baseline that nothing bounds on this side. */
	readonly lower: number | null;
	readonly upper: number | null;
	/** Of the improvement, by the units' variance; null where there is none: exact tests do without. */
	readonly standardError: number | null;
	/**
	 * The line that counts for a pass, on the same scale: −margin for a guardrail, improveBy for the goal. Of a quantile with
	 * `slow`: what more slow requests are tolerated; harm is any more at all.
	 */
	readonly line: number;
	/** Of a quantile with a threshold for each arm. Absent: one for both, not frozen, or no quantile. */
	readonly slow?: SlowRequests;
	/** Whether the scale is a share of the baseline. */
	readonly relative: boolean;
	/** Level at which it is proved better than the line. */
	readonly alpha: number;
	/** Level at which harm is proved. */
	readonly harmAlpha: number;
	/**
	 * ln of the e-value for "better than the line": proved from −ln(alpha) on; e-BH looks at many of them together.
	 * Within ±LOG_E_MAX; null where nothing could be tested.
	 */
	readonly logE: number | null;
	/** harm: worse than the line (guardrail) or than zero (goal), proved. pass: better than the line, proved. */
	readonly verdict: "harm" | "pass" | "open" | "unknown";
	/** Only of a goal with planned looks once one was taken: it passes by this alone, whatever `lower` and `logE` are. */
	readonly look?: FindingLook;
	/** Why it is unknown, or empty. */
	readonly note: string;
}

/** Which requests are slow: those that take longer than their arm's threshold. */
export interface SlowRequests {
	/** The baseline's quantile when it was frozen. */
	readonly baselineMs: number;
	/** That with the margin of a guardrail added, or the improvement of a goal taken away. */
	readonly challengerMs: number;
	readonly effect: Effect;
}

/** The planned look that proved a goal, else the last one that was taken. */
export interface FindingLook {
	/** 1, 2, … of those taken. */
	readonly number: number;
	/** Its information, see informationUnits(). */
	readonly units: number;
	/** How far above its line the goal lay, in standard errors: see plannedTest(). null: it could not be tested. */
	readonly z: number | null;
	/** The goal is proved where z reaches it. */
	readonly boundary: number;
	/** As it was seen then. null: none, or not kept. */
	readonly improvement: number | null;
	/**
	 * Of the improvement, one-sided at the level that the boundary leaves: holds at all planned looks together, and is at
	 * least the line exactly where z reaches the boundary. null: none, or not kept.
	 */
	readonly lower: number | null;
}

/** As stored: JSON has no infinite number. */
export function storedBound(value: number | null): number | null {
	return value !== null && Number.isFinite(value) ? value : null;
}

/** Both ends of an interval, infinite where nothing bounds it; null: nothing is known. */
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
	/** As exact, of values in a declared range: by how they vary too. The mean of the e-values of betting and the mixture. */
	| "betting"
	/** Asymptotic, from ASYMPCS_MIN_UNITS on: means, adjusted by a covariate where there is one, and ratios of sums. */
	| "asympcs";

/** Beyond this an e-value is no finite double. */
export const LOG_E_MAX = 700;
