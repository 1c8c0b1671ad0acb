/** Traffic that did not become evidence, and whether it is much. */
import type { Evidence } from "../../infer/statistics/evidence.js";
import { RULES } from "../rollout/decision.js";
import { troubles } from "../rollout/rules/brokenData.js";
import type { ReportInput } from "./reportInput.js";

export interface Quality {
	/** Access-log entries that could not be stored or read. */
	readonly droppedEntries: number;
	/** Units seen in two arms: left out. */
	readonly conflictingUnits: number;
	/** Units whose arm was forced by hand: left out. */
	readonly forcedUnits: number;
	readonly exposedUnits: number;
	/** Exposed, but some window is still open: they count later. */
	readonly waitingUnits: number;
	/** Matured units without an outcome, where such are left out. */
	readonly missing: readonly {
		readonly metric: string;
		readonly arm: string;
		readonly units: number;
		readonly of: number;
	}[];
	/** Newest outcome by metric. */
	readonly newestOutcomeMs: Readonly<Record<string, number>>;
	/** What keeps the rollout from relying on the data, each in an exact sentence. */
	readonly troubles: readonly string[];
}

export function qualityOf({ experiment, metrics, status, atMs }: ReportInput, evidence: Evidence): Quality {
	const { droppedEntries, conflictingUnits, forcedUnits, newestOutcomeMs } = evidence;
	const exposedUnits = evidence.arms.reduce((sum, arm) => sum + arm.exposedUnits, 0);
	const maturedUnits = evidence.arms.reduce((sum, arm) => sum + arm.maturedUnits, 0);
	const missing = Object.entries(metrics)
		.filter(([, { spec }]) => spec.source === "outcome" && spec.missing === "exclude")
		.flatMap(([metric]) =>
			evidence.arms.map(({ arm, missingUnits, metrics: own }) => {
				const units = missingUnits[metric] ?? 0;
				return { metric, arm, units, of: units + (own[metric]?.n ?? 0) };
			}),
		);
	return {
		...{ droppedEntries, conflictingUnits, forcedUnits, exposedUnits, missing, newestOutcomeMs },
		waitingUnits: Math.max(0, exposedUnits - maturedUnits),
		troubles: troubles({ rules: RULES, experiment, metrics, status, evidence, nowMs: atMs }).map(
			({ reason }) => reason,
		),
	};
}
