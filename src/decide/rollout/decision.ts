/**
 * A decision: what the rollout does next, by which rule, on which evidence. A value, stored as JSON; `decide()`
 * makes it purely and `weir decisions --recompute` makes it again from `input` alone.
 */

import type { Experiment, Metric } from "../../declare/resources/resource.js";
import type { BaselineQuantile, Evidence } from "../../infer/statistics/evidence.js";
import type { Finding } from "../../infer/statistics/finding.js";
import type { ExperimentStatus } from "./status.js";

export type { Finding } from "../../infer/statistics/finding.js";

/** In the order in which they are tried; `person`, `declaration` and `gate` are not made by decide(). */
export type Rule =
	| "harm"
	| "srm"
	/** What arrives cannot be trusted: nothing is ramped or promoted on it. */
	| "data"
	/** A planned look at the goal. */
	| "look"
	/** The winner works otherwise in an arm of another Experiment. */
	| "interaction"
	/** The winner's effect fades. */
	| "novelty"
	/** The promotion would deny callers of the Service's default Variant. */
	| "access"
	/** Another Experiment of the Service is being promoted, or was since this one began. */
	| "concurrent"
	| "promote"
	| "ramp"
	/** Shares of arms follow the chance to be best. */
	| "bandit"
	| "takeover"
	| "max-duration"
	| "freeze-threshold"
	/** The baseline itself is not where it was when thresholds were frozen. */
	| "baseline-moved"
	| "wait"
	| "person"
	| "declaration"
	/** A gate did not let happen what another rule decided. */
	| "gate";

export type Action =
	| "start"
	| "hold"
	| "ramp"
	/** Arms get other shares of the same allocation. */
	| "reallocate"
	| "close-arm"
	| "roll-back"
	| "pause"
	| "resume"
	| "promote"
	| "advance-takeover"
	| "complete"
	| "freeze-threshold"
	/** Thresholds are given up, to be frozen anew. */
	| "unfreeze-threshold"
	| "look"
	| "abort";

/** Version of the rules of decide(). */
export const RULES = 1;

/** Everything decide() reads. */
export interface DecisionInput {
	/** RULES of the Weir that made it. */
	readonly rules: number;
	readonly experiment: Experiment;
	/** The Metrics that the goal and guardrails name, by name. */
	readonly metrics: Readonly<Record<string, Metric>>;
	readonly status: ExperimentStatus;
	readonly evidence: Evidence;
	readonly nowMs: number;
	/** By metric name, where a latency threshold has still to be frozen and the baseline has been measured. */
	readonly baselineQuantiles?: Readonly<Record<string, BaselineQuantile>>;
	/** By challenger, why its promotion would deny callers of the default Variant (accessLosses.ts); absent: none would. */
	readonly accessLosses?: Readonly<Record<string, string>>;
	/** Another Experiment of the Service that is being promoted; absent: none. */
	readonly beingPromoted?: string;
	/** The Service's default Variant, where it is not the baseline's any more; absent: it is. */
	readonly replaces?: string;
}

/** What a decision that holds is waiting for; the loop records a wait once per kind. */
export type WaitsFor =
	| "threshold"
	| "units"
	| "step-time"
	| "proof"
	| "person"
	| "takeover-time"
	| "takeover-health"
	| "gate"
	/** The end of another Experiment's promotion. */
	| "promotion"
	/** Complete evidence. */
	| "data"
	/** The next planned look. */
	| "look"
	| "holdback"
	| "nothing";

/** Why a gate did not let a decision happen. */
export interface GateAnswer {
	readonly at: "before-step" | "before-promotion";
	/** Its host. */
	readonly where: string;
	/** `HTTP 503`, or that there was no answer. */
	readonly why: string;
	/** Of HTTP; left out = there was no answer. */
	readonly status?: number;
}

export interface Outcome {
	readonly action: Action;
	readonly rule: Rule;
	/** One exact sentence, with the names and numbers that decided. */
	readonly reason: string;
	/** The same in plain words. Absent of what a person or a declaration decides. */
	readonly summary?: string;
	readonly findings: readonly Finding[];
	/** Anytime-valid p-value of the sample-ratio test; null where it was not made. */
	readonly srmP: number | null;
	/** The status after it. Equal to the input's where decide() holds; a declaration holds the phase, not every field. */
	readonly status: ExperimentStatus;
	/** Set when the Service's default Variant changes with it. */
	readonly defaultVariant: string | null;
	/** Estimated ms until what it waits for, at the current pace; null = not known well enough. */
	readonly expectedMs: number | null;
	/** Set where the action is hold. */
	readonly waitsFor?: WaitsFor;
	/** Set where it waits for units: what of them is too few, without numbers. */
	readonly lacks?: string;
	/** Set where the rule is gate: with it and the input the decision can be made again. */
	readonly gate?: GateAnswer;
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
	/** null for a person's act and for a declaration, and for whom not all of it is to be told. */
	readonly input: DecisionInput | null;
	readonly outcome: Outcome;
	/** When every connected Envoy had acknowledged the plan with it; null = not yet. */
	readonly acknowledgedAtMs: number | null;
}
