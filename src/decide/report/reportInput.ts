/** What a report is made from, and the analysis of it. */

import type { Experiment, Metric } from "../../declare/resources/resource.js";
import { type Analysis, analyse } from "../../infer/statistics/analyse.js";
import { levels } from "../../infer/statistics/claim.js";
import type { Evidence } from "../../infer/statistics/evidence.js";
import { type HoldbackQuestions, holdbackQuestions } from "../../infer/statistics/holdback.js";
import type { Decision } from "../rollout/decision.js";
import { looksByArm } from "../rollout/rules/plannedLook.js";
import { type ExperimentStatus, heldBackOf } from "../rollout/status.js";

export interface ReportInput {
	readonly experiment: Experiment;
	/** Those that the goal and the guardrails name, by name. */
	readonly metrics: Readonly<Record<string, Metric>>;
	readonly status: ExperimentStatus;
	/** All of them, oldest first. */
	readonly decisions: readonly Decision[];
	/** Current evidence; null = unavailable, then the report shows the evidence of the newest decision. */
	readonly evidence: Evidence | null;
	/** As in DecisionInput: another Experiment of the Service that is being promoted. */
	readonly beingPromoted?: string;
	/** As in DecisionInput: the Service's default Variant, if it is no longer the baseline's. */
	readonly replaces?: string;
	/** The Service's default Variant; absent: not known. */
	readonly defaultVariant?: string;
	/** An Envoy or a sidecar refuses the Service's newest configuration; absent: none does. */
	readonly closed?: true;
	/** Now. */
	readonly atMs: number;
}

/** All claims of all challengers, closed arms included, so that the report can show why an arm was closed. */
export function analyseAll({ experiment, metrics, status }: ReportInput, evidence: Evidence): Analysis {
	return analyse({
		experiment,
		metrics,
		evidence,
		thresholds: status.thresholds,
		closedArms: [],
		accepted: typeof status.acceptedExposures === "object" ? status.acceptedExposures : {},
		looks: looksByArm(status),
		heldBack: heldBackOf(status),
	});
}

/** The hypotheses to test and their significance levels. A holdback is a test of its own. */
export function questionsOf({ experiment, metrics, status }: ReportInput): HoldbackQuestions {
	const { thresholds } = status;
	const heldBack = heldBackOf(status);
	return heldBack === null
		? { experiment, metrics, thresholds, levels: levels(experiment) }
		: holdbackQuestions(experiment, metrics, thresholds, heldBack);
}

/**
 * Identifies the population that the looks are about: null = all units, before a takeover; else the start of the holdback.
 * Only looks with the same key are compared.
 */
export const populationKey = (status: ExperimentStatus): number | null => heldBackOf(status)?.fromMs ?? null;
