/**
 * The status of experiments and Services: allocation, promotion, thresholds. Plain data, stored by the state store and read
 * by the compiler.
 */

import { qualifiedName, type Service } from "../../declare/resources/resource.js";
import type { FindingLook } from "../../infer/statistics/finding.js";
import type { HeldBack } from "../../infer/statistics/holdback.js";
import type { ExposureCounts } from "../../infer/statistics/sequential/srm.js";
import { PPM } from "../../limits/index.js";

export type Phase =
	/** Ramping or measuring at an allocation. */
	| "Running"
	/** Held by a person, an SRM alarm, harm (onHarm: freeze) or an inconclusive end. Harm is still detected. */
	| "Paused"
	/** The winner takes over the rest of the traffic step by step. */
	| "Promoting"
	| "Promoted"
	| "RolledBack"
	| "Aborted";

/** Phases in which units are exposed and counted. */
export function isExposing(phase: Phase): boolean {
	return phase === "Running" || phase === "Paused";
}

/** Whether the phase is final: no decisions and no assignment. */
export function isOver(phase: Phase): boolean {
	return phase === "Promoted" || phase === "RolledBack" || phase === "Aborted";
}

/** Whether a winner takes over, or is in its holdback. */
export function isPromoting(status: Pick<ExperimentStatus, "phase" | "promotion"> | undefined): boolean {
	return status?.phase === "Promoting" && status.promotion !== null;
}

/** The live share of an arm's allocation, in ppm. */
export function liveSharePpm(
	arm: string,
	{ closedArms, shares }: Pick<ExperimentStatus, "closedArms" | "shares">,
): number {
	return closedArms.includes(arm) ? 0 : (shares?.ppm[arm] ?? PPM);
}

/**
 * The holdback whose units are evaluated, during it and after it ended the promotion. null = the units before the takeover
 * are evaluated.
 */
export function heldBackOf({
	phase,
	promotion,
	takeover,
}: Pick<ExperimentStatus, "phase" | "promotion" | "takeover">): HeldBack | null {
	if (phase === "RolledBack" || phase === "Aborted") return takeover?.heldBack ?? null;
	if (phase !== "Promoting" || promotion?.heldBackFromMs === undefined) return null;
	return { fromMs: promotion.heldBackFromMs, sharePpm: PPM - promotion.takeoverPpm };
}

/** A latency threshold frozen from earlier data of the default Variant. */
export interface FrozenThreshold {
	readonly thresholdMs: number;
	/** The baseline's quantile, which is the baseline's own threshold. Absent = a cap. */
	readonly referenceMs?: number;
	/** 1, 2, 3 … for each freezing of this metric: see infer/statistics/frozenReference.ts. Absent = a cap. */
	readonly era?: number;
	/** The baseline's quantiles around it, ascending, with itself (infer/statistics/quantileGrid.ts). Absent = a cap, or not measured. */
	readonly gridMs?: readonly number[];
	readonly frozenAtMs: number;
	readonly sampleSize: number;
}

/** A metric's thresholds were dropped, because the baseline or the margin changed, and are to be frozen again. */
export interface Refreeze {
	/** Era of the next thresholds. */
	readonly era: number;
	/** Only requests since then are used. */
	readonly sinceMs: number;
	/** The baseline's previous frozen quantile. */
	readonly formerMs: number;
	/** Absent = the baseline changed. */
	readonly because?: "declaration";
}

/** Live share of each arm's allocation, set by a bandit. Absent from a status = all of it. */
export interface ArmShares {
	/** By arm, in ppm. Closed arms keep 0, the baseline 10⁶. */
	readonly ppm: Readonly<Record<string, number>>;
	/** Since then only the core's units count: see infer/statistics/bandit/allocation.ts. */
	readonly firstMovedAtMs: number;
	readonly movedAtMs: number;
}

/** The effect of one arm. */
export type LookEffect = Pick<FindingLook, "improvement" | "lower" | "units" | "boundary">;

/** One planned look. Never changed later. */
export interface PlannedLook {
	readonly atMs: number;
	/** The least information of an open arm (informationUnits()); may be more than planned. */
	readonly units: number;
	/** By arm: distance above the goal's line in standard errors. null = not testable. */
	readonly z: Readonly<Record<string, number | null>>;
	/** The boundary of the arm with the least information: the goal is proved if z reaches it. */
	readonly boundary: number;
	/** By arm, see FindingLook; arms whose goal is no Metric are absent. */
	readonly effects: Readonly<Record<string, LookEffect>>;
}

export interface ExperimentStatus {
	readonly phase: Phase;
	/** Index into rollout.stepsPpm; −1 = all steps are above the live allocation, after a changed declaration. */
	readonly stepIndex: number;
	readonly allocationPpm: number;
	readonly startedAtMs: number;
	/** When it reached a final phase. Absent = not yet. */
	readonly endedAtMs?: number;
	/** When Envoy last acknowledged the live allocation, or it was published without acknowledgement. */
	readonly stepStartedAtMs: number;
	/** Challengers closed after proved harm. */
	readonly closedArms: readonly string[];
	/** Set while Promoting and after. takeoverPpm runs through the rollout's steps. */
	readonly promotion: {
		readonly arm: string;
		readonly variant: string;
		/** As above, for the takeover. */
		readonly stepIndex: number;
		readonly takeoverPpm: number;
		/** Start of the holdback. Absent = none, or not yet. */
		readonly heldBackFromMs?: number;
		/** The default Variant that a holdback's winner replaced, if not the baseline's; absent = the baseline's. */
		readonly replaced?: string;
	} | null;
	/** Set by a promotion and kept after its end. Absent = no promotion. */
	readonly takeover?: {
		/** Windows that were open then never count: the unit's version may have changed. */
		readonly fromMs: number;
		/** Absent = no holdback, or not yet. */
		readonly heldBack?: HeldBack;
	};
	/** Why it is Paused; only a person ends it. */
	readonly hold: "person" | "srm" | "inconclusive" | "harm" | null;
	/** By metric name. */
	readonly thresholds: Readonly<Record<string, FrozenThreshold>>;
	/** By metric name, the last one; kept when done. Absent = none. */
	readonly refreezes?: Readonly<Record<string, Refreeze>>;
	/**
	 * Exposures that a person accepted by resuming after an SRM alarm, by plan version and arm: the sample-ratio test restarts
	 * after them. "pending" = the next decision will count them. Absent = none.
	 */
	readonly acceptedExposures?: "pending" | ExposureCounts;
	/** Keys (`harmKey`) of harms that froze it: they do not freeze it again. Absent = none. */
	readonly frozenHarms?: readonly string[];
	/** Looks of a group-sequential or fixed-horizon design so far, in order. Absent = none. */
	readonly looks?: readonly PlannedLook[];
	/** Absent = no bandit, or no move yet. */
	readonly shares?: ArmShares;
	/** Start of maxDuration after a resume from an inconclusive end. Absent = startedAtMs. */
	readonly durationFromMs?: number;
}

export interface ServiceStatus {
	/** The promoted Variant, if it differs from the declared default. */
	readonly defaultVariant: string;
}

/** Keys are qualified names. An Experiment without an entry starts at its first step. */
export interface Status {
	readonly experiments: Readonly<Record<string, ExperimentStatus>>;
	readonly services: Readonly<Record<string, ServiceStatus>>;
}

export const EMPTY_STATUS: Status = { experiments: {}, services: {} };

/** The promoted Variant if it is still declared, else the declared default. */
export function liveDefault(service: Service, { services }: Pick<Status, "services">): string {
	const promoted = services[qualifiedName(service.metadata)]?.defaultVariant;
	const declared = service.spec.variants.some(({ name }) => name === promoted);
	return promoted !== undefined && declared ? promoted : service.spec.defaultVariant;
}

/** A new experiment: Running at its first step. */
export function initialStatus(stepsPpm: readonly number[], nowMs: number): ExperimentStatus {
	return {
		phase: "Running",
		stepIndex: 0,
		allocationPpm: stepsPpm[0] ?? 0,
		startedAtMs: nowMs,
		stepStartedAtMs: nowMs,
		closedArms: [],
		promotion: null,
		hold: null,
		thresholds: {},
	};
}
