/** The arm with the fewest units, which limits the evidence. */
import { claimedMetrics } from "../../infer/statistics/claim.js";
import type { DecisionInput } from "./decision.js";
import { openChallengers } from "./outcome.js";

export interface Scarcest {
	readonly arm: string;
	/** `matured units`, `units with accuracy`. */
	readonly what: string;
	readonly units: number;
}

/** The units of one arm: all, or those with a value of a metric. */
export interface ArmCount {
	readonly arm: string;
	/** null: all units. */
	readonly metric: string | null;
	readonly units: number;
	/** Those that could have a value by now. */
	readonly due: number;
}

/** Over the baseline and every open weighted challenger, and every declared metric. */
export function scarcest(input: DecisionInput): Scarcest {
	const least = fewest(armCounts(input));
	if (least === null) return { arm: "", what: "", units: Number.POSITIVE_INFINITY };
	const { arm, metric, units } = least;
	return { arm, what: metric === null ? "matured units" : `units with ${metric}`, units };
}

export function armCounts(input: DecisionInput): ArmCount[] {
	const { experiment, evidence } = input;
	const open = openChallengers(input);
	// NaN counts as 0.
	const whole = (units: number | undefined): number => Math.max(0, units || 0);
	return experiment.spec.arms
		.filter((arm) => arm.baseline || (open.includes(arm.name) && arm.weight !== 0))
		.flatMap(({ name }) => {
			const seen = evidence.arms.find(({ arm }) => arm === name);
			const matured = whole(seen?.maturedUnits);
			return [
				{ arm: name, metric: null, units: matured, due: matured },
				...claimedMetrics(experiment).map((metric) => {
					const units = whole(seen?.metrics[metric]?.n);
					return { arm: name, metric, units, due: units + whole(seen?.missingUnits[metric]) };
				}),
			];
		});
}

/** The first entry with the fewest units; null = no entries. */
export function fewest<Count extends ArmCount>(counts: readonly Count[]): Count | null {
	return counts.reduce<Count | null>((least, one) => (least === null || one.units < least.units ? one : least), null);
}
