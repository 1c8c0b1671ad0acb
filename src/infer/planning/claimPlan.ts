/** The plan of one claim: the units that it needs, and the day when they are measured. */
import type { Method } from "../statistics/finding.js";
import type { LooksPlan, PlannedLookChance } from "./plannedLooks.js";

/** Units of one challenger and the baseline together. null = never, under the assumptions. */
export interface PlanPoint {
	readonly units: number | null;
	/** Day when they have been exposed and have matured; null also without traffic. */
	readonly day: number | null;
}

/** A planned look and its day; null = never, or no traffic. */
export interface DatedLook extends PlannedLookChance {
	readonly day: number | null;
}

export interface ClaimPlan {
	readonly name: string;
	readonly role: "goal" | "guardrail";
	readonly method: Method | "planned-looks";
	/** Units by which half of the experiments prove the claim, if the effect is as assumed. */
	readonly median: PlanPoint;
	/** Units by which a share of `power` does. */
	readonly atPower: PlanPoint;
	/** Units of a one-sided fixed-horizon test at the same level and power. */
	readonly fixedUnits: number | null;
	/**
	 * Minimum detectable effect with probability `power`, by the units of the whole horizon or the planned looks: the least true
	 * improvement; for a guardrail the least margin if the effect is as assumed, for a quantile's the least improvement.
	 * null = none, or neither traffic nor looks.
	 */
	readonly detectable: number | null;
	/** For a goal with planned looks, else null. Units of all arms. */
	readonly looks: (Omit<LooksPlan, "looks"> & { readonly looks: readonly DatedLook[] }) | null;
	/** The claim's plan as text. */
	readonly sentence: string;
}
