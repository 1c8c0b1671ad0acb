/** Each arm by itself: how high every metric stands in it, and on which side of its threshold a latency quantile lies. */
import { type ArmLevel, armLevel, quantileSide } from "../../infer/statistics/armLevel.js";
import { claimedMetrics } from "../../infer/statistics/claim.js";
import type { Evidence } from "../../infer/statistics/evidence.js";
import { NO_MOMENTS } from "../../infer/statistics/statistics/moments.js";
import type { ReportInput } from "./reportInput.js";

export interface LevelReport extends ArmLevel {
	readonly metric: string;
	readonly arm: string;
	readonly baseline: boolean;
	readonly units: number;
	/** Only for a quantile metric whose threshold is frozen, else null. */
	readonly quantile: {
		readonly q: number;
		readonly thresholdMs: number;
		/** Where the arm's quantile is proved to lie; null: not yet. */
		readonly side: "below" | "above" | null;
	} | null;
}

/** Two-sided level of each line of the table by itself. */
export const LEVEL_ALPHA = 0.05;

/** The levels of every claimed metric, by metric and arm, in declared order. */
export function levelsOf({ experiment, metrics, status }: ReportInput, evidence: Evidence): readonly LevelReport[] {
	return claimedMetrics(experiment).flatMap((name) => {
		const metric = metrics[name];
		if (metric === undefined) return [];
		const { quantile: q } = metric.spec;
		const threshold = status.thresholds[name];
		return experiment.spec.arms.map(({ name: arm, baseline }): LevelReport => {
			const own = evidence.arms.find((entry) => entry.arm === arm)?.metrics[name] ?? NO_MOMENTS;
			const quantile = (): LevelReport["quantile"] => {
				if (q === null || threshold === undefined) return null;
				const { thresholdMs, referenceMs = thresholdMs } = threshold;
				const side = quantileSide(q, own, LEVEL_ALPHA / 2);
				return { q, thresholdMs: baseline ? referenceMs : thresholdMs, side };
			};
			return { metric: name, arm, baseline, units: own.n, ...armLevel(metric, own, LEVEL_ALPHA), quantile: quantile() };
		});
	});
}
