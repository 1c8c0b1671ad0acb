/**
 * Units whose arm is another than it last was: after a ramp, a takeover, an abort. Known is what this process has
 * seen, in bounded memory; the first sight of a unit is no change.
 */
import { UNIT_CACHE_MAX } from "../limits.js";
import { Generations } from "./generations.js";

/** An ended request's assignment. */
export interface Assigned {
	readonly experiment: string;
	/** Pseudonym. */
	readonly unit: bigint;
	/** null = the default Variant, no arm. */
	readonly arm: string | null;
	/** Version of the plan that assigned it. */
	readonly plan: string;
	/** When the request began. */
	readonly startUs: number;
}

interface Known {
	readonly plan: string;
	readonly arm: string | null;
	/** Start of the first request seen under that plan. */
	readonly sinceUs: number;
}

export class AssignmentChanges {
	readonly #known = new Map<string, Generations<bigint, Known>>();

	/**
	 * @returns the arm before, where the request shows another one than the unit's last known; null = no change. A
	 * request that began before the last known plan was seen at work tells of the past, and changes nothing.
	 */
	see({ experiment, unit, arm, plan, startUs }: Assigned): { readonly formerArm: string | null } | null {
		let units = this.#known.get(experiment);
		if (units === undefined) {
			units = new Generations(UNIT_CACHE_MAX);
			this.#known.set(experiment, units);
		}
		const known = units.get(unit);
		// One plan gives a unit one arm: nearly every request ends here.
		if (known !== undefined && (known.plan === plan || startUs < known.sinceUs)) return null;
		units.set(unit, { plan, arm, sinceUs: startUs });
		return known === undefined || known.arm === arm ? null : { formerArm: known.arm };
	}
}
