/**
 * What the analysis reads: aggregates, never rows. Made by SQL in the events room, stored with each decision,
 * and enough to recompute it byte for byte. All JSON numbers; times are epoch milliseconds.
 */

import type { Moments } from "./statistics/moments.js";

export type { Moments } from "./statistics/moments.js";

export interface ArmEvidence {
	readonly arm: string;
	/** Units whose first exposure is in this arm (conflicting units left out). */
	readonly exposedUnits: number;
	/** Exposed units whose windows of all metrics have closed. */
	readonly maturedUnits: number;
	/** By metric name. A metric with no data at all is absent. */
	readonly metrics: Readonly<Record<string, Moments>>;
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
}

/** What an analysis asks of the store. */
export interface EvidenceQuery {
	readonly experiment: string;
	readonly service: string;
	readonly metrics: readonly EvidenceMetric[];
	/** Health of Variants is counted from here on. */
	readonly healthSinceMs: number;
}

export interface EvidenceMetric {
	readonly name: string;
	readonly source: "outcome" | "latency" | "errors";
	readonly windowMs: number;
	/** After window + settle the observation is made and never changes; requests without an end count as failed and slow. */
	readonly settleMs: number;
	readonly missing: "exclude" | "zero";
	/**
	 * For source latency: the observation is the share of the unit's requests slower than thresholdMs, of units
	 * first exposed after frozenAtMs. null: no threshold yet, no observation.
	 */
	readonly threshold: { readonly thresholdMs: number; readonly frozenAtMs: number } | null;
}

/**
 * A latency quantile of the default Variant's requests, over all traffic of the Service not in a challenger arm:
 * the median of the quantiles of consecutive stretches of it, so that one stall does not set it.
 */
export interface BaselineQuantile {
	readonly valueMs: number;
	readonly requests: number;
	readonly units: number;
}
