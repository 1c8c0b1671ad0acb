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
	/** As it is now; null: unavailable, and the newest decision's is shown. */
	readonly evidence: Evidence | null;
	/** As in decide()'s input: what other Experiments of the Service are promoted to, or were. */
	readonly beingPromoted?: string;
	readonly replaces?: string;
	/** The Service's default Variant; absent: not known. */
	readonly defaultVariant?: string;
	/** An Envoy or a sidecar refuses the Service's newest configuration; absent: none does. */
	readonly closed?: true;
	/** Now. */
	readonly atMs: number;
}

/** All claims of all challengers. Those of closed arms say why they were closed. */
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

/** What is asked of the evidence, and at which levels: in a holdback it is another test. */
export function questionsOf({ experiment, metrics, status }: ReportInput): HoldbackQuestions {
	const { thresholds } = status;
	const heldBack = heldBackOf(status);
	return heldBack === null
		? { experiment, metrics, thresholds, levels: levels(experiment) }
		: holdbackQuestions(experiment, metrics, thresholds, heldBack);
}

/** Identifies the test: null = all units, before a takeover; else the start of the holdback. */
export const peopleOf = (status: ExperimentStatus): number | null => heldBackOf(status)?.fromMs ?? null;
