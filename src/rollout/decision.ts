/**
 * A decision: what the rollout does next, by which rule, on which evidence. A value, stored as JSON; `decide()`
 * makes it purely and `weir decisions --recompute` makes it again from `input` alone.
 */
import type { Evidence } from "../analysis/evidence.js";
import type { Experiment, Metric } from "../resources/resource.js";
import type { ExperimentStatus } from "./status.js";

/** In the order in which they are tried; `person` and `declaration` are not made by decide(). */
export type Rule =
	| "harm"
	| "srm"
	| "promote"
	| "ramp"
	| "takeover"
	| "max-duration"
	| "freeze-threshold"
	| "wait"
	| "person"
	| "declaration";

export type Action =
	| "start"
	| "hold"
	| "ramp"
	| "close-arm"
	| "roll-back"
	| "pause"
	| "resume"
	| "promote"
	| "advance-takeover"
	| "complete"
	| "freeze-threshold"
	| "abort";

/** Everything decide() reads. */
export interface DecisionInput {
	readonly experiment: Experiment;
	/** The Metrics that the goal and guardrails name, by name. */
	readonly metrics: Readonly<Record<string, Metric>>;
	readonly status: ExperimentStatus;
	readonly evidence: Evidence;
	readonly nowMs: number;
}

/** One claim that was tested: which metric of which arm against what, and how it came out. */
export interface Finding {
	readonly metric: string;
	readonly arm: string;
	readonly role: "goal" | "guardrail";
	/** `bernoulli-mixture` for rates, errors and slow shares; `asympcs` for means. */
	readonly method: "bernoulli-mixture" | "asympcs";
	readonly baseline: { readonly n: number; readonly mean: number };
	readonly challenger: { readonly n: number; readonly mean: number };
	/** Difference challenger − baseline, turned so that positive is better; bounds hold at all looks, at `alpha` each. */
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

export interface Outcome {
	readonly action: Action;
	readonly rule: Rule;
	/** One sentence for a person. */
	readonly reason: string;
	readonly findings: readonly Finding[];
	/** Anytime-valid p-value of the sample-ratio test; null where it was not made. */
	readonly srmP: number | null;
	/** The status after it. Equal to the input's where the action is hold. */
	readonly status: ExperimentStatus;
	/** Set when the Service's default Variant changes with it. */
	readonly defaultVariant: string | null;
	/** Estimated ms to the next verdict at the current pace, null = cannot say. */
	readonly expectedMs: number | null;
}

/** As stored and printed. */
export interface Decision {
	/** Qualified experiment name. */
	readonly experiment: string;
	/** 1, 2, 3 … per experiment. */
	readonly sequence: number;
	readonly atMs: number;
	/** `weir` or the person. */
	readonly by: string;
	/** null for a person's act and for a declaration. */
	readonly input: DecisionInput | null;
	readonly outcome: Outcome;
	/** When every connected Envoy had acknowledged the plan with it; null = not yet. */
	readonly acknowledgedAtMs: number | null;
}
