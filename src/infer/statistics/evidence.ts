/**
 * Input of the analysis: aggregates, never rows. Made by ingest, stored with each decision, and enough to recompute it byte
 * for byte. All JSON numbers; times are epoch milliseconds.
 */

import type { CoMoments } from "./statistics/coMoments.js";
import type { Extremes } from "./statistics/extremes.js";
import type { LogCapital } from "./statistics/logCapital.js";
import type { Moments } from "./statistics/moments.js";

export type { CoMoments } from "./statistics/coMoments.js";
export type { Moments } from "./statistics/moments.js";

/** Aggregates of a metric in an arm. */
export interface MetricEvidence extends Moments {
	/**
	 * More than one variable per unit, the first of which is the value of the moments. ratio: numerator, denominator.
	 * With a covariate: value, value before; ratio with one: numerator, denominator, numerator before, denominator before.
	 */
	readonly co?: CoMoments;
	/** For each of these variables, or only for the value. Absent = unknown, as in a plan without data. */
	readonly extremes?: readonly Extremes[];
	/**
	 * For the values as shares of the metric's range, if it has one; for whole arms only. If it has fewer units than the moments,
	 * the others are outside the range.
	 */
	readonly capital?: LogCapital;
	/** For a quantile with a grid of thresholds: the mean share of slow requests at each (quantileGrid.ts). */
	readonly slow?: readonly number[];
}

/** Moments by metric, for a part of an arm's units. */
export interface PartOfArm {
	readonly arm: string;
	readonly metrics: Readonly<Record<string, MetricEvidence>>;
}

/** The units with a segment value in their first exposing request. */
export interface SegmentEvidence {
	/** Name of the segment in the declaration. */
	readonly segment: string;
	/** null = all values after the first SEGMENT_VALUES_MAX, and missing values. */
	readonly value: string | null;
	/** 0, 1, … in order of appearance in the experiment, the rest last. Never changes, because alpha is spent by it. */
	readonly rank: number;
	readonly arms: readonly PartOfArm[];
}

/** The units first exposed in [fromMs, toMs), for effects and intervals over time. */
export interface PeriodEvidence {
	readonly fromMs: number;
	readonly toMs: number;
	readonly arms: readonly (PartOfArm & { readonly exposedUnits: number })[];
}

/** Units that are in an arm of another Experiment at the same time, over both assignments. */
export interface InteractionEvidence {
	/** Qualified name. */
	readonly experiment: string;
	readonly cells: readonly (PartOfArm & { readonly otherArm: string; readonly units: number })[];
}

export interface ArmEvidence {
	readonly arm: string;
	/** Units whose first exposure is in this arm, without conflicting units. */
	readonly exposedUnits: number;
	/** Exposed units whose windows of all metrics have closed. */
	readonly maturedUnits: number;
	/** By metric name. A metric without data is absent. */
	readonly metrics: Readonly<Record<string, MetricEvidence>>;
	/** Matured units without any outcome, by metric name (missing: exclude). */
	readonly missingUnits: Readonly<Record<string, number>>;
}

/** First exposures under one plan: a batch of the sequential SRM test, with that plan's expected shares. */
export interface ExposureBatch {
	readonly planVersion: string;
	/** Time of the batch's first exposure; batches are ordered by it. */
	readonly firstMs: number;
	/** By arm name, only arms with live points. */
	readonly counts: Readonly<Record<string, number>>;
	/** Live points by arm name under that plan. */
	readonly livePoints: Readonly<Record<string, number>>;
}

/** Recent requests of a Variant, for the health check of a takeover. */
export interface VariantHealth {
	readonly variant: string;
	readonly requests: number;
	/** Ended with no healthy upstream, a failed connection or a timeout (flags UH, UF, UT, URX…) or a 5xx. */
	readonly failures: number;
}

export interface Evidence {
	readonly experiment: string;
	/** The store's time of the query. */
	readonly asOfMs: number;
	readonly arms: readonly ArmEvidence[];
	readonly exposures: readonly ExposureBatch[];
	/** Units seen in two arms; excluded above. */
	readonly conflictingUnits: number;
	readonly health: readonly VariantHealth[];
	/** Access-log entries that could not be stored or read. Above 0 the evidence is incomplete. */
	readonly droppedEntries: number;
	/** Units with a forced arm; excluded above. */
	readonly forcedUnits: number;
	/** Empty = no segments are declared. */
	readonly segments: readonly SegmentEvidence[];
	/** Consecutive, oldest first, at most PERIODS_MAX; together they are `arms`. */
	readonly periods: readonly PeriodEvidence[];
	/** Only queried at the last step. */
	readonly interactions: readonly InteractionEvidence[];
	/** Epoch milliseconds of the newest row by metric of source outcome; reveals a silent sender. */
	readonly newestOutcomeMs: Readonly<Record<string, number>>;
	/** Names of metrics that the store could not read; absent = none. */
	readonly unreadable?: readonly string[];
	/** Time of the newest first exposure; absent = unknown. */
	readonly newestExposureMs?: number;
}

/** The query of an analysis to the store. */
export interface EvidenceQuery {
	readonly experiment: string;
	readonly service: string;
	readonly metrics: readonly EvidenceMetric[];
	/** Start of the Variants' health counts. */
	readonly healthSinceMs: number;
	/** Names of the declared segments, in order. */
	readonly segments: readonly string[];
	/** Qualified names of other Experiments to check for interactions; empty = none. */
	readonly interactsWith: readonly string[];
	/**
	 * A bandit's first move. Units outside its core count only if they were due by then, because later their arm depends on the
	 * outcomes. Absent = no move.
	 */
	readonly coreFromMs?: number;
	/** Only units first exposed later, in a holdback. Absent = all. */
	readonly exposedAfterMs?: number;
	/** Start of a takeover: later exposures and windows that close then or later do not count. Absent = none. */
	readonly closeUntilMs?: number;
}

/** The observation is the share of a unit's requests slower than its arm's threshold. Only units first exposed later count. */
export interface SlowThreshold {
	/** For the challengers. */
	readonly thresholdMs: number;
	readonly baseline: { readonly arm: string; readonly thresholdMs: number };
	readonly frozenAtMs: number;
	/** At most three further thresholds: the share at each is a separate variable. Absent = none. */
	readonly further?: readonly { readonly thresholdMs: number; readonly baselineMs: number }[];
}

export interface EvidenceMetric {
	readonly name: string;
	readonly source: "outcome" | "latency" | "errors";
	readonly windowMs: number;
	/** After window + settle the observation is final; requests without an end count as failed and slow. */
	readonly settleMs: number;
	readonly missing: "exclude" | "zero";
	/** How a unit's outcomes become its one value. */
	readonly perUnit: "mean" | "sum";
	/** For a ratio: another metric by its name in outcomes, or the number of the unit's requests in the window. */
	readonly denominator: { readonly metric: string } | "requests" | null;
	/** The covariate: values in this time before the first exposure. null = none. */
	readonly covariateMs: number | null;
	/**
	 * Larger values count as the cap. Only units first exposed after frozenAtMs count. unfrozen = no observation yet. null = no
	 * cap.
	 */
	readonly cap: { readonly value: number; readonly frozenAtMs: number } | "unfrozen" | null;
	/**
	 * For source latency and type quantile. unfrozen = no observation yet. null = the mean duration is observed.
	 */
	readonly threshold: SlowThreshold | "unfrozen" | null;
	/** Range for log-capital; only without denominator and covariate. null = none. */
	readonly range: { readonly lo: number; readonly hi: number } | null;
}

/**
 * A latency quantile of the default Variant over all traffic outside of challenger arms: the median of the quantiles of
 * consecutive periods, so that one stall does not determine it.
 */
export interface BaselineQuantile {
	readonly valueMs: number;
	/**
	 * Standard error of the quantile, clustered by unit (estimators/quantile.ts). Absent = too few requests, or a quantile of
	 * units' values.
	 */
	readonly standardErrorMs?: number;
	readonly requests: number;
	readonly units: number;
	/** The other requested quantiles, in that order. */
	readonly others?: readonly number[];
}
