/**
 * The report of one experiment as numbers: everything that its page draws and `weir report --json` prints. Pure: the
 * clock's time comes in with the rest, and the same input gives the same bytes.
 *
 * The intervals are those that decide, at the declared levels, and hold at all looks; so it does no harm to read the
 * report as often as one likes.
 */

import { type Experiment, type Metric, qualifiedName } from "../../declare/resources/resource.js";
import { NOTHING } from "../../infer/statistics/analyse.js";
import type { Evidence } from "../../infer/statistics/evidence.js";
import type { Finding } from "../../infer/statistics/finding.js";
import type { Decision } from "../rollout/decision.js";
import type { ExperimentStatus } from "../rollout/status.js";
import { type Answer, answerOf } from "./answer.js";
import { type Beliefs, beliefsOf } from "./beliefs.js";
import { type EffectByPeriod, effectsByPeriod } from "./effectByPeriod.js";
import { type HealthReport, healthOf } from "./health.js";
import { type ClaimHistory, historyOf } from "./history.js";
import { type LevelReport, levelsOf } from "./levels.js";
import { type PlannedLookReport, plannedLooksOf } from "./plannedLooks.js";
import { type Quality, qualityOf } from "./quality.js";
import { analyseAll, type ReportInput } from "./reportInput.js";
import { type SampleRatioReport, sampleRatioOf } from "./sampleRatio.js";
import { type SegmentReport, segmentsOf } from "./segments.js";
import { type AllocationStep, allocationOf } from "./timeline.js";

/** Where the numbers come from: fresh ones, or those that a decision was made on. */
export type EvidenceFrom = { readonly from: "store" } | { readonly from: "decision"; readonly sequence: number };

export interface Report {
	/** Qualified name. */
	readonly name: string;
	readonly atMs: number;
	readonly experiment: Experiment;
	readonly metrics: Readonly<Record<string, Metric>>;
	readonly status: ExperimentStatus;
	readonly answer: Answer;
	/** null: there is no evidence at all yet, and nothing below that rests on it. */
	readonly evidence: (EvidenceFrom & { readonly evidence: Evidence }) | null;
	/** Every claim over all units, in declared order, of every challenger, closed ones too. */
	readonly claims: readonly Finding[];
	readonly segmentHarms: readonly Finding[];
	/** Planned looks, of designs that have them. */
	readonly looks: readonly PlannedLookReport[];
	readonly history: readonly ClaimHistory[];
	readonly levels: readonly LevelReport[];
	readonly allocation: readonly AllocationStep[];
	readonly sampleRatio: SampleRatioReport | null;
	readonly segments: readonly SegmentReport[];
	readonly effects: readonly EffectByPeriod[];
	/** For reading, never for deciding. null: unknown. */
	readonly beliefs: Beliefs | null;
	readonly quality: Quality | null;
	readonly health: readonly HealthReport[];
	readonly decisions: readonly DecisionReport[];
}

/** A decision without what it was made from: `weir decisions --json` has that. */
export interface DecisionReport extends Pick<Decision, "sequence" | "atMs" | "by" | "acknowledgedAtMs"> {
	readonly action: Decision["outcome"]["action"];
	readonly rule: Decision["outcome"]["rule"];
	readonly reason: string;
	readonly summary?: string;
}

/** The report at this moment. */
export function reportOf(input: ReportInput): Report {
	const { experiment, metrics, status, decisions, atMs } = input;
	const found = evidenceOf(input);
	const analysis = found === null ? NOTHING : analyseAll(input, found.evidence);
	const claims = analysis.findings.filter(({ segment }) => segment === undefined);
	const evidence = found?.evidence ?? null;
	return {
		name: qualifiedName(experiment.metadata),
		atMs,
		experiment,
		metrics,
		status,
		answer: answerOf(input, found),
		evidence: found,
		claims,
		segmentHarms: analysis.findings.filter(({ segment }) => segment !== undefined),
		looks: plannedLooksOf(input),
		history: historyOf(input, evidence, claims),
		levels: evidence === null ? [] : levelsOf(input, evidence),
		allocation: allocationOf(decisions),
		sampleRatio: evidence === null ? null : sampleRatioOf(input, evidence, analysis.srm),
		segments: evidence === null ? [] : segmentsOf(input, evidence),
		effects: evidence === null ? [] : effectsByPeriod(input, evidence),
		beliefs: evidence === null ? null : beliefsOf(input, evidence),
		health: evidence === null ? [] : healthOf(input, evidence),
		quality: evidence === null ? null : qualityOf(input, evidence),
		decisions: decisions.map(({ sequence, atMs, by, acknowledgedAtMs, outcome }) => ({
			sequence,
			atMs,
			by,
			acknowledgedAtMs,
			action: outcome.action,
			rule: outcome.rule,
			reason: outcome.reason,
			...(outcome.summary === undefined ? {} : { summary: outcome.summary }),
		})),
	};
}

/** An empty store has less evidence than the last decision. */
function evidenceOf({ evidence, decisions }: ReportInput): Report["evidence"] {
	if (evidence !== null && evidence.arms.length > 0) return { from: "store", evidence };
	const last = decisions.findLast(({ input }) => input !== null && input.evidence.arms.length > 0);
	if (last !== undefined && last.input !== null)
		return { from: "decision", sequence: last.sequence, evidence: last.input.evidence };
	return evidence === null ? null : { from: "store", evidence };
}
