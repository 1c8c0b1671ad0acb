/** What a report is made from, and the analysis of it. */
import { type Analysis, analyse } from "../analysis/analyse.js";
import type { Evidence } from "../analysis/evidence.js";
import type { Experiment, Metric } from "../resources/resource.js";
import type { Decision } from "../rollout/decision.js";
import { looksByArm } from "../rollout/rules/plannedLook.js";
import type { ExperimentStatus } from "../rollout/status.js";

export interface ReportInput {
	readonly experiment: Experiment;
	/** Those that the goal and the guardrails name, by name. */
	readonly metrics: Readonly<Record<string, Metric>>;
	readonly status: ExperimentStatus;
	/** All of them, oldest first. */
	readonly decisions: readonly Decision[];
	/** As it is now; null: it could not be had, and the newest decision's is shown. */
	readonly evidence: Evidence | null;
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
		levels: null,
	});
}
