/**
 * What Weir has learned, as against what the user wishes: allocation, promotion, decisions so far. Pure data,
 * stored by the state room, read by the compiler.
 */

import { qualifiedName, type Service } from "../../declare/resources/resource.js";
import type { FindingLook } from "../../infer/statistics/finding.js";
import type { HeldBack } from "../../infer/statistics/holdback.js";
import type { ExposureCounts } from "../../infer/statistics/sequential/srm.js";
import { PPM } from "../../limits/index.js";

export type Phase =
	/** Ramping or measuring at an allocation. */
	| "Running"
	/** A person, an SRM alarm, harm (onHarm: freeze) or an inconclusive end holds the allocation; harm is still watched. */
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

/** Whether it stays in the phase: it judges and assigns nothing any more. */
export function isOver(phase: Phase): boolean {
	return phase === "Promoted" || phase === "RolledBack" || phase === "Aborted";
}

/** Whether a winner takes over, or is in its holdback. */
export function isPromoting(status: Pick<ExperimentStatus, "phase" | "promotion"> | undefined): boolean {
	return status?.phase === "Promoting" && status.promotion !== null;
}

/** How much of its allocation an arm has live, in ppm. */
export function liveSharePpm(
	arm: string,
	{ closedArms, shares }: Pick<ExperimentStatus, "closedArms" | "shares">,
): number {
	return closedArms.includes(arm) ? 0 : (shares?.ppm[arm] ?? PPM);
}

/**
 * The holdback whose units alone are judged: while it lasts, and after it where it found what ended it. null: those before
 * the takeover are.
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
	/** The baseline's quantile that it was made from: the baseline's own threshold. Absent: a cap. */
	readonly referenceMs?: number;
	/** Which freezing of this metric it is, 1, 2, 3 …: see analysis/frozenReference.ts. Absent: a cap. */
	readonly era?: number;
	/** The baseline's quantiles around it, rising, and itself among them (analysis/quantileGrid.ts). Absent: a cap, or none was measured. */
	readonly gridMs?: readonly number[];
	readonly frozenAtMs: number;
	readonly sampleSize: number;
}

/** That a metric's thresholds hold no more, for the baseline has moved away or the margin is another; how they are frozen anew. */
export interface Refreeze {
	/** Of the thresholds to come. */
	readonly era: number;
	/** Only requests from here on. */
	readonly sinceMs: number;
	/** The baseline's quantile as it was frozen before. */
	readonly formerMs: number;
	/** Absent: the baseline had moved. */
	readonly because?: "declaration";
}

/** What a bandit has set: how much of its allocation each arm has live. Absent from a status: all of it. */
export interface ArmShares {
	/** By arm, in ppm. Closed arms keep 0, the baseline 10⁶. */
	readonly ppm: Readonly<Record<string, number>>;
	/** From here on only the core's units count: see analysis/bandit/allocation.ts. */
	readonly firstMovedAtMs: number;
	readonly movedAtMs: number;
}

/** Of one arm. Without units and boundary it has those of the look. */
export type LookEffect = Pick<FindingLook, "improvement" | "lower"> & Partial<Pick<FindingLook, "units" | "boundary">>;

/** One planned look, taken once: what it saw stays, whatever comes later. */
export interface PlannedLook {
	readonly atMs: number;
	/** The least information of an open arm, see informationUnits(), which may be more than was planned. */
	readonly units: number;
	/** By arm: how far above the goal's line, in standard errors. null = could not be tested. */
	readonly z: Readonly<Record<string, number | null>>;
	/** That of the arm with the least information: the goal is proved where z reaches it. */
	readonly boundary: number;
	/** By arm, see FindingLook. Absent: not kept yet. */
	readonly effects?: Readonly<Record<string, LookEffect>>;
}

export interface ExperimentStatus {
	readonly phase: Phase;
	/** Index into rollout.stepsPpm; −1 where all declared steps are above the live allocation (they were changed). */
	readonly stepIndex: number;
	readonly allocationPpm: number;
	readonly startedAtMs: number;
	/** When it came to a phase that it does not leave. Absent: it has not. */
	readonly endedAtMs?: number;
	/** When the live allocation was last acknowledged by Envoy (or published, where nothing acknowledges). */
	readonly stepStartedAtMs: number;
	/** Challengers closed alone after proven harm. */
	readonly closedArms: readonly string[];
	/** Set while Promoting and after. takeoverPpm runs through the rollout's steps. */
	readonly promotion: {
		readonly arm: string;
		readonly variant: string;
		/** As above, of the takeover. */
		readonly stepIndex: number;
		readonly takeoverPpm: number;
		/** Since the takeover has reached all but the share that is held back. Absent: nothing is, or not yet. */
		readonly heldBackFromMs?: number;
		/** The default Variant that a holdback's winner replaced, where it was not the baseline's; absent: it was. */
		readonly replaced?: string;
	} | null;
	/** Set by a promotion, stays after its end. Absent: nobody was promoted. */
	readonly takeover?: {
		/** What of a unit was still open then never counts: its version may be another since. */
		readonly fromMs: number;
		/** Absent: nothing was held back, or not yet. */
		readonly heldBack?: HeldBack;
	};
	/** Why it is Paused; only a person ends it. */
	readonly hold: "person" | "srm" | "inconclusive" | "harm" | null;
	/** By metric name. */
	readonly thresholds: Readonly<Record<string, FrozenThreshold>>;
	/** By metric name, the last one; stays when it is done. Absent: none. */
	readonly refreezes?: Readonly<Record<string, Refreeze>>;
	/**
	 * Exposures that a person accepted by resuming after an SRM alarm, by plan version and arm: the sample-ratio test
	 * starts anew after them. "pending" from the resume until the next decision has counted them. Absent: none.
	 */
	readonly acceptedExposures?: "pending" | ExposureCounts;
	/** Harms that froze it, as `harmKey` names them: a person has seen them, so they do not freeze it again. Absent: none. */
	readonly frozenHarms?: readonly string[];
	/** Looks at the goal that a group-sequential or fixed-horizon design has taken, in order. Absent: none. */
	readonly looks?: readonly PlannedLook[];
	/** Absent: no bandit, or it has moved nothing yet. */
	readonly shares?: ArmShares;
	/** maxDuration counts from here when a person resumed after an inconclusive end. Absent: from startedAtMs. */
	readonly durationFromMs?: number;
}

export interface ServiceStatus {
	/** The promoted Variant, where it differs from the declared default. */
	readonly defaultVariant: string;
}

/** Keys are qualified names. An Experiment without an entry starts at its first step. */
export interface Status {
	readonly experiments: Readonly<Record<string, ExperimentStatus>>;
	readonly services: Readonly<Record<string, ServiceStatus>>;
}

export const EMPTY_STATUS: Status = { experiments: {}, services: {} };

/** The promoted Variant, as long as it is declared: one that was taken away since cannot serve. */
export function liveDefault(service: Service, { services }: Pick<Status, "services">): string {
	const promoted = services[qualifiedName(service.metadata)]?.defaultVariant;
	const declared = service.spec.variants.some(({ name }) => name === promoted);
	return promoted !== undefined && declared ? promoted : service.spec.defaultVariant;
}

/** A fresh experiment: Running at its first step. */
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
