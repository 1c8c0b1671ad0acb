/**
 * The arm with the fewest units: the evidence is as old as its scarcest part.
 */
import { claimedMetrics } from "../analysis/claim.js";
import type { DecisionInput } from "./decision.js";
import { openChallengers } from "./outcome.js";

export interface Scarcest {
	readonly arm: string;
	/** `matured units`, `units with accuracy`. */
	readonly what: string;
	readonly units: number;
}

/** Over the baseline and every open weighted challenger, and every declared metric. */
export function scarcest(input: DecisionInput): Scarcest {
	const { experiment, evidence } = input;
	const open = openChallengers(input);
	let least: Scarcest = { arm: "", what: "", units: Number.POSITIVE_INFINITY };
	for (const arm of experiment.spec.arms) {
		if (!arm.baseline && (!open.includes(arm.name) || arm.weight === 0)) continue;
		const seen = evidence.arms.find((entry) => entry.arm === arm.name);
		const candidates = [
			{ arm: arm.name, what: "matured units", units: seen?.maturedUnits ?? 0 },
			...claimedMetrics(experiment).map((metric) => ({
				arm: arm.name,
				what: `units with ${metric}`,
				units: seen?.metrics[metric]?.n ?? 0,
			})),
		];
		// What is no number is no unit.
		for (const candidate of candidates) {
			const units = Math.max(0, candidate.units || 0);
			if (units < least.units) least = { ...candidate, units };
		}
	}
	return least;
}
