/**
 * The striped weighted entries of one experiment: [arm live, arm rest, next arm live, next arm rest, …], of
 * constant sum 10⁶, so that a ramp or a takeover moves weights only and nobody changes arm.
 */
import type { ExperimentTable } from "../table/plan.js";

export interface WeightedEntry {
	/** Which arm the entry serves; null = the rest, which gets the default Variant. */
	readonly arm: string | null;
	readonly variant: string;
	readonly points: number;
}

/**
 * Entries in hash order. Every stripe that is not a challenger's own live one begins with that challenger's
 * takeover entry, declared from the start at 0 points: the first floor(size × t / 10⁶) points of the stripe are
 * the winner's when it is promoted (design: Takeover).
 */
export function weightedEntries(table: ExperimentTable, defaultVariant: string): readonly WeightedEntry[] {
	const challengers = table.arms.filter((arm) => !arm.baseline);
	const stripe = (arm: string | null, variant: string, size: number): readonly WeightedEntry[] => {
		const takers = challengers.filter((challenger) => challenger.name !== arm);
		const takeover = table.takeover !== null && table.takeover.arm !== arm ? table.takeover : null;
		const taken = takeover === null ? 0 : Math.floor((size * takeover.ppm) / 1_000_000);
		return [
			...takers.map((taker) => ({
				arm: taker.name,
				variant: taker.variant,
				points: takeover !== null && taker.name === takeover.arm ? taken : 0,
			})),
			{ arm, variant, points: size - taken },
		];
	};
	return table.arms.flatMap((arm) => [
		...stripe(arm.name, arm.variant, arm.livePoints),
		...stripe(null, defaultVariant, arm.hiPpm - arm.loPpm - arm.livePoints),
	]);
}
