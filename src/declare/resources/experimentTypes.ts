/** Types of experiment declarations, with all defaults filled in. Import them from resource.ts. */
import type { Metadata } from "./metadata.js";

export interface Experiment {
	readonly kind: "Experiment";
	readonly metadata: Metadata;
	readonly spec: {
		/** Name of a Service in the same namespace. */
		readonly service: string;
		readonly unit: UnitSource;
		readonly layer: { readonly name: string; readonly slotLoPpm: number; readonly slotHiPpm: number };
		/** null = metadata.name, qualified by the namespace if it is not `default`. */
		readonly salt: string | null;
		readonly arms: readonly Arm[];
		readonly goal: Goal | null;
		readonly guardrails: readonly Guardrail[];
		/** Properties of a unit, read from its first exposing request. Harm is also tested for each of their values. */
		readonly segments: readonly Segment[];
		readonly rollout: Rollout;
	};
}

/** The request header with the value; the most frequent values are counted separately, the rest together. */
export interface Segment {
	readonly name: string;
	readonly header: string;
}

/**
 * Where the unit of a request is. claim: of a token that the Gateway verified. cookie: as sent, otherwise the sidecar
 * creates one with this lifetime.
 */
export type UnitSource =
	| { readonly from: "header"; readonly header: string }
	| { readonly from: "claim"; readonly claim: string }
	| { readonly from: "cookie"; readonly cookie: string; readonly maxAgeMs: number };

export interface Arm {
	readonly name: string;
	readonly variant: string;
	readonly weight: number;
	readonly baseline: boolean;
	/** Sent to the Variant as request headers `x-weir-param-NAME`. */
	readonly parameters: Readonly<Record<string, string>>;
}

/** An effect size. absolute: in the metric's own unit (0.5pp → 0.005). relative: share of the baseline (100% → 1). */
export interface Effect {
	readonly kind: "absolute" | "relative";
	readonly value: number;
}

export interface Goal {
	readonly metric: string;
	readonly improveBy: Effect;
}

export interface Guardrail {
	readonly metric: string;
	readonly margin: Effect;
}

export interface Rollout {
	readonly stepsPpm: readonly number[];
	readonly everyMs: number;
	readonly minUnits: number;
	readonly alpha: number;
	/** null = no end. */
	readonly maxDurationMs: number | null;
	/** At maxDuration without a verdict: back to the default, or hold until a person decides. */
	readonly onInconclusive: "keep-default" | "pause";
	/**
	 * After proved harm: roll back to the default, or freeze the allocation until a person decides. While frozen, no unit moves
	 * and the allocation does not grow; new units in the current share are still exposed.
	 */
	readonly onHarm: "roll-back" | "freeze";
	/** How the goal is tested. Harm is always tested sequentially. */
	readonly inference: InferenceDesign;
	/** null = the winner takes over at once, by the steps. */
	readonly holdback: Holdback | null;
	/** null = every arm has the allocation. */
	readonly bandit: Bandit | null;
	/** Webhooks for approvals, asked in order, and for notifications. */
	readonly gates: readonly Gate[];
}

export type InferenceDesign =
	/** Valid at every look; decides as soon as it is proved. */
	| { readonly design: "sequential" }
	/** Looked at so many times, equally spaced in matured units; the last at `units` over all arms. */
	| {
			readonly design: "group-sequential";
			readonly looks: number;
			readonly units: number;
			readonly spending: SpendingFunction;
	  }
	/** Looked at once, when so many units of all arms have matured. */
	| { readonly design: "fixed-horizon"; readonly units: number };

/** Lan and DeMets' spending functions of the O'Brien–Fleming and Pocock types. */
export type SpendingFunction = "obrien-fleming" | "pocock";

/**
 * After a promotion this share of the baseline's units stays on its Variant for this time, to detect late effects on
 * guardrails and goal. Only new units are compared. All other traffic gets the winner's Variant, also without a unit.
 */
export interface Holdback {
	readonly sharePpm: number;
	readonly forMs: number;
}

/**
 * The allocation of each arm follows the probability that it is best by the goal's metric. Units move only between an
 * arm and the default Variant, never between arms. Shares change at the last step; from the first change on, claims and
 * sample ratio use only the core, the first `floorPpm` of each arm's live points. A low floor gives a losing arm fewer
 * units and makes every test slower.
 */
export interface Bandit {
	readonly algorithm: "thompson" | "top-two";
	/** No open arm's allocation falls below this share of the step's. */
	readonly floorPpm: number;
	/** Least time between two changes. */
	readonly everyMs: number;
}

/**
 * before-step, before-promotion: only a 2xx response allows it, otherwise the rollout holds. after-rollback: a
 * notification, at least once.
 */
export interface Gate {
	readonly at: "before-step" | "before-promotion" | "after-rollback";
	readonly url: string;
	readonly timeoutMs: number;
}

/** A value, or a quantile of the units' values that is frozen from the first units before any of them counts. */
export type Cap = { readonly value: number } | { readonly quantile: number };

export interface Metric {
	readonly kind: "Metric";
	readonly metadata: Metadata;
	readonly spec: {
		/**
		 * mean: any real value; exact where `range` bounds it, else by asymptotic confidence sequences. rate: values in
		 * [0,1], by the exact Bernoulli mixture. quantile: of the request latency, as the share of requests slower than a
		 * frozen threshold. ratio: the sum of all units' values ÷ the sum of all units' denominators.
		 */
		readonly type: "mean" | "rate" | "ratio" | "quantile";
		/** outcome: rows posted to /v1/outcomes under this metric's name. latency, errors: from the access log. */
		readonly source: "outcome" | "latency" | "errors";
		readonly direction: "up" | "down";
		/** A unit's observation covers this long after its first exposure, then never changes. */
		readonly windowMs: number;
		/** Only for type quantile, e.g. 0.99. */
		readonly quantile: number | null;
		/** A unit without any outcome in its window: left out (and counted), or 0. Only for source outcome. */
		readonly missing: "exclude" | "zero";
		/** How a unit's outcomes become its one value; sum for type ratio. Only for source outcome. */
		readonly perUnit: "mean" | "sum";
		/** Bounds that every value keeps; rows outside are refused. [0, 1] for a rate. null = any real number. */
		readonly range: { readonly lo: number; readonly hi: number } | null;
		/** Only for type ratio: a Metric of source outcome in the same namespace, or the number of the unit's requests. */
		readonly denominator: { readonly metric: string } | "requests" | null;
		/** Values above it count as it (winsorising). */
		readonly cap: Cap | null;
		/** CUPED: the unit's value of the same metric in so long before its first exposure. null = none. */
		readonly covariateMs: number | null;
		/** SPIFFE ids that may post its outcomes. Empty = only the local owner of control (its UNIX socket). */
		readonly senders: readonly string[];
	};
}

/**
 * Always logged: a new header in the access log changes the listener, and its draining connections would be served but
 * logged without their unit.
 */
export const USUAL_UNIT_HEADER = "x-user-id";
