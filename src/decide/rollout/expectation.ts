/**
 * When enough people will have come at the present pace: an estimate for a person who watches, never a rule.
 *
 * When a claim will be proved is not estimated. That goes with the square of the effect in standard errors, which is 3 to 4 when
 * a proof is near and known to ±1: the same data make it one hour or four.
 */
import type { DecisionInput } from "./decision.js";

/** The pace comes from the latest plan's exposures once it has been live this long; before that, from all exposures. */
const PACE_MIN_MS = 1_000;

/** A time is announced only where the ends of its 80 % interval differ by at most this factor. */
const SPREAD_MAX = 1.5;

const Z_80 = 1.2816;

/** Units that were exposed in the arms together, and in how many ms. */
function pace({ evidence, status }: DecisionInput, arms: readonly string[]): { units: number; ms: number } {
	const batch = evidence.exposures.at(-1);
	const sum = (of: (arm: string) => number): number => arms.reduce((all, arm) => all + of(arm), 0);
	if (batch !== undefined && evidence.asOfMs - batch.firstMs >= PACE_MIN_MS)
		return { units: sum((arm) => batch.counts[arm] ?? 0), ms: evidence.asOfMs - batch.firstMs };
	const exposed = sum((arm) => evidence.arms.find((entry) => entry.arm === arm)?.exposedUnits ?? 0);
	return { units: exposed, ms: evidence.asOfMs - status.startedAtMs };
}

/** Ms until the arms together have `more` units that count, a `share` of those that come; null = unknown. */
export function expectedUnitsMs(input: DecisionInput, arms: readonly string[], more: number, share = 1): number | null {
	const { units, ms } = pace(input, arms);
	const seen = units * share;
	// Arrivals are taken as Poisson, before and after now.
	const deviation = Math.sqrt(1 / seen + 1 / more);
	return ms > 0 && Math.exp(2 * Z_80 * deviation) <= SPREAD_MAX ? Math.ceil((more * ms) / seen) : null;
}
