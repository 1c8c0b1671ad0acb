/** The plan of one claim: how many units it needs, and when they have been measured. */
import type { Method } from "../statistics/finding.js";
import type { LooksPlan, PlannedLookChance } from "./plannedLooks.js";

/** Units in one challenger and the baseline together, and when. null: never, on these assumptions. */
export interface PlanPoint {
	readonly units: number | null;
	/** Day on which they have been exposed and have matured; null also without traffic. */
	readonly day: number | null;
}

/** A planned look and when it comes; null: never, or no traffic. */
export interface DatedLook extends PlannedLookChance {
	readonly day: number | null;
}

export interface ClaimPlan {
	readonly name: string;
	readonly role: "goal" | "guardrail";
	readonly method: Method | "planned-looks";
	/** Half of the experiments have proved the claim by here, if the effect is as believed. */
	readonly median: PlanPoint;
	/** So many as `power` have. */
	readonly atPower: PlanPoint;
	/** Units of a test that is looked at once at its end, one-sided, at the same level and power. */
	readonly fixedUnits: number | null;
	/**
	 * What is found with the chance `power` by the units of the whole horizon, or by the planned looks: the least true
	 * improvement; of a guardrail the least margin if the effect is as believed, of a quantile's the least improvement.
	 * null: nothing, or neither traffic nor looks.
	 */
	readonly detectable: number | null;
	/** Of a goal with planned looks, else null. Units are of all arms. */
	readonly looks: (Omit<LooksPlan, "looks"> & { readonly looks: readonly DatedLook[] }) | null;
	/** The claim's plan for a person. */
	readonly sentence: string;
}
