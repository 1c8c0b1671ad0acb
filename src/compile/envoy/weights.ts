/**
 * The weighted entries of one Experiment in stripes: [arm live, arm rest, next arm live, next arm rest, …]. Their sum is
 * always 10⁶, so a ramp or a takeover only changes weights and no unit changes its arm.
 */
import type { ExperimentTable } from "../plan/compiledPlan.js";

export interface WeightedEntry {
	/** The arm that the entry serves; null = the rest, which gets the default Variant. */
	readonly arm: string | null;
	readonly variant: string;
	readonly points: number;
}

/**
 * Entries in hash order. Every stripe except a challenger's own live one begins with that challenger's takeover entry, at
 * first with 0 points. On promotion the first floor(size × t / 10⁶) points of the stripe go to the winner (design: Takeover).
 */
export function weightedEntries(table: ExperimentTable, defaultVariant: string): readonly WeightedEntry[] {
	const challengers = table.arms.filter((arm) => !arm.baseline);
	const stripe = (arm: string | null, variant: string, size: number): readonly WeightedEntry[] => {
		const takers = challengers.filter((challenger) => challenger.name !== arm);
		const takeover = table.takeover !== null && table.takeover.arm !== arm ? table.takeover : null;
		const takenOver = takeover === null ? 0 : Math.floor((size * takeover.ppm) / 1_000_000);
		return [
			...takers.map((taker) => ({
				arm: taker.name,
				variant: taker.variant,
				points: takeover !== null && taker.name === takeover.arm ? takenOver : 0,
			})),
			{ arm, variant, points: size - takenOver },
		];
	};
	return table.arms.flatMap((arm) => [
		...stripe(arm.name, arm.variant, arm.livePoints),
		...stripe(null, defaultVariant, arm.hiPpm - arm.loPpm - arm.livePoints),
	]);
}
