/**
 * What the analysis reads: aggregates, never rows. Made by SQL in the events room, stored with each decision,
 * and enough to recompute it byte for byte. All JSON numbers; times are epoch milliseconds.
 */

import type { CoMoments } from "./statistics/coMoments.js";
import type { Extremes } from "./statistics/extremes.js";
import type { LogCapital } from "./statistics/logCapital.js";
import type { Moments } from "./statistics/moments.js";

export type { CoMoments } from "./statistics/coMoments.js";
export type { Moments } from "./statistics/moments.js";

/** What is known of a metric in an arm. */
export interface MetricEvidence extends Moments {
	/**
	 * More than one variable per unit, the first of which is the value of the moments. ratio: numerator, denominator.
	 * With a covariate: value, value before; ratio with one: numerator, denominator, numerator before, denominator before.
	 */
	readonly co?: CoMoments;
	/** Of each of these variables, or of the value alone. Absent: evidence of an earlier Weir, judged without. */
	readonly extremes?: readonly Extremes[];
	/**
	 * Of the values as shares of the metric's range, in whole arms where it has one. Fewer units than the moments have: the
	 * others lie outside the range.
	 */
	readonly capital?: LogCapital;
	/** Of a quantile with a grid of thresholds: the mean share of slow requests at each of them (quantileGrid.ts). */
	readonly slow?: readonly number[];
}

/** Moments by metric in one arm, of a part of its units. */
export interface PartOfArm {
	readonly arm: string;
	readonly metrics: Readonly<Record<string, MetricEvidence>>;
}

/** The units whose first exposing request said so. */
export interface SegmentEvidence {
	/** Name of the segment in the declaration. */
	readonly segment: string;
	/** In order of appearance; null = all values beyond the first SEGMENT_VALUES_MAX, and none. */
	readonly value: string | null;
	/** 0, 1, … in order of appearance in the experiment; the rest counts after them. Never changes: alpha is spent by it. */
	readonly rank: number;
	readonly arms: readonly PartOfArm[];
}

/** The units first exposed in [fromMs, toMs): an effect that fades, and intervals as they were, are read from these. */
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
	/** Units whose first exposure is in this arm (conflicting units left out). */
	readonly exposedUnits: number;
	/** Exposed units whose windows of all metrics have closed. */
	readonly maturedUnits: number;
	/** By metric name. A metric with no data at all is absent. */
	readonly metrics: Readonly<Record<string, MetricEvidence>>;
	/** Matured units without any outcome, by metric name (missing: exclude). */
	readonly missingUnits: Readonly<Record<string, number>>;
}

/** First exposures under one plan: the batch that sequential SRM sees with that plan's own expected shares. */
export interface ExposureBatch {
	readonly planVersion: string;
	/** Time of the batch's first exposure; batches are ordered by it. */
	readonly firstMs: number;
	/** By arm name, only arms with live points. */
	readonly counts: Readonly<Record<string, number>>;
	/** Live points by arm name under that plan. */
	readonly livePoints: Readonly<Record<string, number>>;
}

/** Requests of a Variant in the last moments, to gate a takeover. */
export interface VariantHealth {
	readonly variant: string;
	readonly requests: number;
	/** Ended with no healthy upstream, a failed connection or a timeout (flags UH, UF, UT, URX…) or a 5xx. */
	readonly failures: number;
}

export interface Evidence {
	readonly experiment: string;
	/** The store's clock when the aggregates were made. */
	readonly asOfMs: number;
	readonly arms: readonly ArmEvidence[];
	readonly exposures: readonly ExposureBatch[];
	/** Units seen in two arms: left out of everything above. */
	readonly conflictingUnits: number;
	readonly health: readonly VariantHealth[];
	/** Access-log entries that could not be stored or read; evidence is incomplete when above 0. */
	readonly droppedEntries: number;
	/** Units whose arm was forced by hand (not by the hash): left out of everything above. */
	readonly forcedUnits: number;
	/** Empty where the declaration names no segments. */
	readonly segments: readonly SegmentEvidence[];
	/** Consecutive, oldest first, at most PERIODS_MAX; together they are `arms`. */
	readonly periods: readonly PeriodEvidence[];
	/** Asked for at the last step only. */
	readonly interactions: readonly InteractionEvidence[];
	/** Epoch milliseconds of the newest row by metric of source outcome; a sender that has fallen silent shows here. */
	readonly newestOutcomeMs: Readonly<Record<string, number>>;
	/** Names of metrics that the store could not take in: nothing is known of them. Absent: there are none. */
	readonly unreadable?: readonly string[];
	/** Of the newest first exposure: without exposures silence says nothing. Absent: not known. */
	readonly newestExposureMs?: number;
}

/** What an analysis asks of the store. */
export interface EvidenceQuery {
	readonly experiment: string;
	readonly service: string;
	readonly metrics: readonly EvidenceMetric[];
	/** Health of Variants is counted from here on. */
	readonly healthSinceMs: number;
	/** Names of the declared segments, in order. */
	readonly segments: readonly string[];
	/** Qualified names of other Experiments whose assignments may interact with this one's; empty = not asked. */
	readonly interactsWith: readonly string[];
	/**
	 * A bandit first moved its shares then: of units outside its core only what was due by then counts, since for the
	 * others the arm came and went with the outcomes. Absent: nothing was moved.
	 */
	readonly coreFromMs?: number;
	/** Only units first exposed later: a holdback. Absent: all. */
	readonly exposedAfterMs?: number;
	/** What falls due then or later never counts, nor do exposures after it: a takeover began. Absent: no such time. */
	readonly closeUntilMs?: number;
}

/** The observation is the share of the unit's requests slower than its arm's threshold, of units first exposed after. */
export interface SlowThreshold {
	/** In the challengers. */
	readonly thresholdMs: number;
	readonly baseline: { readonly arm: string; readonly thresholdMs: number };
	readonly frozenAtMs: number;
	/** Further thresholds, at most three: the share at each is a variable of its own. Absent: none. */
	readonly further?: readonly { readonly thresholdMs: number; readonly baselineMs: number }[];
}

export interface EvidenceMetric {
	readonly name: string;
	readonly source: "outcome" | "latency" | "errors";
	readonly windowMs: number;
	/** After window + settle the observation is made and never changes; requests without an end count as failed and slow. */
	readonly settleMs: number;
	readonly missing: "exclude" | "zero";
	/** How a unit's outcomes become its one value. */
	readonly perUnit: "mean" | "sum";
	/** ratio: another metric by the name that outcomes carry, or the number of the unit's requests in the window. */
	readonly denominator: { readonly metric: string } | "requests" | null;
	/** Values before the first exposure, in so long, are the covariate. null = none. */
	readonly covariateMs: number | null;
	/**
	 * Values above it count as it. frozen: of units first exposed after frozenAtMs only, as the cap was read from those
	 * before. unfrozen: no observation yet. null = no cap.
	 */
	readonly cap: { readonly value: number; readonly frozenAtMs: number } | "unfrozen" | null;
	/**
	 * For source latency and type quantile. unfrozen: no threshold yet, no observation. null: the mean duration is observed.
	 */
	readonly threshold: SlowThreshold | "unfrozen" | null;
	/** Log-capital of its values in it is wanted; only without denominator and covariate. null = none. */
	readonly range: { readonly lo: number; readonly hi: number } | null;
}

/**
 * A latency quantile of the default Variant's requests, over all traffic of the Service not in a challenger arm:
 * the median of the quantiles of consecutive stretches of it, so that one stall does not set it.
 */
export interface BaselineQuantile {
	readonly valueMs: number;
	/**
	 * Of the quantile of all these requests, by how their units differ (estimators/quantile.ts). Absent: too few of them, or
	 * of units' values.
	 */
	readonly standardErrorMs?: number;
	readonly requests: number;
	readonly units: number;
	/** Its other quantiles, where they were asked for, in that order. */
	readonly others?: readonly number[];
}
