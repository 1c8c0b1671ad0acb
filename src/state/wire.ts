/** The JSON bodies of the public API, shared by the door and the client. */
import type { Problem } from "../resources/resource.js";
import type { Action, Rule } from "../rollout/decision.js";
import type { ExperimentStatus } from "../rollout/status.js";
import type { ResourceChange } from "./wishes.js";

export interface LastDecision {
	readonly sequence: number;
	readonly atMs: number;
	readonly by: string;
	readonly action: Action;
	readonly rule: Rule;
	readonly reason: string;
	readonly expectedMs: number | null;
	readonly acknowledgedAtMs: number | null;
}

/** GET /v1/status */
export interface StatusAnswer {
	readonly revision: number;
	readonly experiments: readonly {
		/** Qualified name. */
		readonly experiment: string;
		readonly service: string;
		readonly status: ExperimentStatus;
		readonly last: LastDecision | null;
	}[];
	readonly services: readonly {
		readonly service: string;
		readonly declaredDefaultVariant: string;
		readonly liveDefaultVariant: string;
	}[];
}

/** POST /v1/resources and DELETE: what changed, or every problem (status 400). */
export type ApplyAnswer =
	| { readonly outcome: "applied"; readonly revision: number; readonly changes: readonly ResourceChange[] }
	| { readonly outcome: "refused"; readonly problems: readonly Problem[] };
