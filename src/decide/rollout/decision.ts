/**
 * A decision: the rollout's next action, its rule and its evidence. Stored as JSON. `weir decisions --recompute` computes it
 * again from `input`.
 */

import type { Experiment, Metric } from "../../declare/resources/resource.js";
import type { BaselineQuantile, Evidence } from "../../infer/statistics/evidence.js";
import type { Finding } from "../../infer/statistics/finding.js";
import type { ExperimentStatus } from "./status.js";

export type { Finding } from "../../infer/statistics/finding.js";

/** `person`, `declaration` and `gate` are not made by decide(). */
export type Rule =
	| "harm"
	| "srm"
	/** Broken data: no ramp or promotion. */
	| "data"
	/** A planned look at the goal. */
	| "look"
	/** The winner interacts with another Experiment. */
	| "interaction"
	/** The winner's effect fades. */
	| "novelty"
	/** The promotion would deny callers of the Service's default Variant. */
	| "access"
	/** Another Experiment of the Service is being promoted, or was since the start of this one. */
	| "concurrent"
	| "promote"
	| "ramp"
	/** Arms' shares follow the probability to be best. */
	| "bandit"
	| "takeover"
	| "max-duration"
	| "freeze-threshold"
	/** The baseline has changed since thresholds were frozen. */
	| "baseline-moved"
	| "wait"
	| "person"
	| "declaration"
	/** A gate rejected the decision of another rule. */
	| "gate";

export type Action =
	| "start"
	| "hold"
	| "ramp"
	/** New shares of arms within the same allocation. */
	| "reallocate"
	| "close-arm"
	| "roll-back"
	| "pause"
	| "resume"
	| "promote"
	| "advance-takeover"
	| "complete"
	| "freeze-threshold"
	/** Thresholds are dropped, to be frozen again. */
	| "unfreeze-threshold"
	| "look"
	| "abort";

/** Version of the rules of decide(). */
export const RULES = 1;

/** The whole input of decide(). */
export interface DecisionInput {
	/** RULES of the version that made it. */
	readonly rules: number;
	readonly experiment: Experiment;
	/** The Metrics of the goal and guardrails, by name. */
	readonly metrics: Readonly<Record<string, Metric>>;
	readonly status: ExperimentStatus;
	readonly evidence: Evidence;
	readonly nowMs: number;
	/** By metric name: measured quantiles for thresholds that are not frozen yet. */
	readonly baselineQuantiles?: Readonly<Record<string, BaselineQuantile>>;
	/** By challenger, why its promotion would deny callers of the default Variant (accessLosses.ts); absent = no loss. */
	readonly accessLosses?: Readonly<Record<string, string>>;
	/** Another Experiment of the Service that is being promoted; absent = none. */
	readonly beingPromoted?: string;
	/** The Service's default Variant if it is no longer the baseline's; absent = it still is. */
	readonly replaces?: string;
}

/** What a hold waits for; the loop records each kind once. */
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

/** A gate's rejection. */
export interface GateAnswer {
	readonly at: "before-step" | "before-promotion";
	/** Its host. */
	readonly where: string;
	/** E.g. `HTTP 503`, or that there was no answer. */
	readonly why: string;
	/** HTTP status; absent = no answer. */
	readonly status?: number;
}

export interface Outcome {
	readonly action: Action;
	readonly rule: Rule;
	/** One exact sentence with the decisive names and numbers. */
	readonly reason: string;
	/** The same in plain language. Absent for decisions of persons and declarations. */
	readonly summary?: string;
	readonly findings: readonly Finding[];
	/** Anytime-valid p-value of the sample-ratio test; null = not tested. */
	readonly srmP: number | null;
	/** The status after the decision. A hold by decide() does not change it; a declaration's hold keeps only the phase. */
	readonly status: ExperimentStatus;
	/** The Service's new default Variant; null = unchanged. */
	readonly defaultVariant: string | null;
	/** Estimated ms until what it waits for, at the current pace; null = not known well enough. */
	readonly expectedMs: number | null;
	/** Set for a hold. */
	readonly waitsFor?: WaitsFor;
	/** Set if it waits for units: what is too few, without numbers. */
	readonly lacks?: string;
	/** Set for the rule `gate`; needed to recompute the decision. */
	readonly gate?: GateAnswer;
}

/** As stored and printed. */
export interface Decision {
	/** Qualified experiment name. */
	readonly experiment: string;
	/** 1, 2, 3 … per experiment. */
	readonly sequence: number;
	readonly atMs: number;
	/** `weir`, or the person. */
	readonly by: string;
	/** null for a person's command and a declaration, and if the reader may not see all of it. */
	readonly input: DecisionInput | null;
	readonly outcome: Outcome;
	/** When all connected Envoys had acknowledged its plan; null = not yet. */
	readonly acknowledgedAtMs: number | null;
}
