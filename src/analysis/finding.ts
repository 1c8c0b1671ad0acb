/**
 * What the analysis says of one claim. A value: stored with every decision, printed by `weir decisions`.
 */

/** One claim that was tested: which metric of which arm against what, and how it came out. */
export interface Finding {
	readonly metric: string;
	readonly arm: string;
	readonly role: "goal" | "guardrail";
	/** `bernoulli-mixture` for rates, errors and slow shares; `asympcs` for means. */
	readonly method: "bernoulli-mixture" | "asympcs";
	readonly baseline: { readonly n: number; readonly mean: number };
	readonly challenger: { readonly n: number; readonly mean: number };
	/**
	 * Challenger against baseline, turned so that positive is better; bounds hold at all looks, at `alpha` each.
	 * A difference where the claim is absolute or about a quantile (then of slow shares), a share of the baseline
	 * (challenger ÷ baseline − 1) where it is relative.
	 */
	readonly improvement: number | null;
	readonly lower: number | null;
	readonly upper: number | null;
	/** The line that counts, on the same scale: −margin for a guardrail, improveBy for the goal. */
	readonly line: number;
	readonly alpha: number;
	/** harm: worse than the line (guardrail) or than zero (goal), proved. pass: better than the line, proved. */
	readonly verdict: "harm" | "pass" | "open" | "unknown";
	/** Why it is unknown, or empty. */
	readonly note: string;
}
