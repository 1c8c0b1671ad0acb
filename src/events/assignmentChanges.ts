/**
 * Units whose arm is another than it last was: after a ramp, a takeover, an abort. Known is what this process has
 * seen and, from the process before it, what the newest requests in the store tell, all in bounded memory; the first sight
 * of a unit is no change.
 */
import { ARMS_RECALLED_MAX, ARMS_RECALLED_ROWS, UNIT_CACHE_MAX } from "../limits.js";
import { Generations } from "./generations.js";
import { NO_ARM } from "./rowAppend.js";
import type { Lane } from "./store.js";

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

/** Which plan gave the arm is not stored: every one is another. */
const NO_PLAN = "";

export class AssignmentChanges {
	readonly #known = new Map<string, Generations<bigint, Known>>();

	/**
	 * @returns the arm before, where the request shows another one than the unit's last known; null = no change. A
	 * request that began before the last known plan was seen at work tells of the past, and changes nothing.
	 */
	see({ experiment, unit, arm, plan, startUs }: Assigned): { readonly formerArm: string | null } | null {
		const units = this.#unitsOf(experiment);
		const known = units.get(unit);
		// One plan gives a unit one arm: nearly every request ends here.
		if (known !== undefined && (known.plan === plan || startUs < known.sinceUs)) return null;
		units.set(unit, { plan, arm, sinceUs: startUs });
		return known === undefined || known.arm === arm ? null : { formerArm: known.arm };
	}

	/**
	 * Takes what the store's newest rows tell. A change that was recorded counts even where its request was lost with the
	 * process, so that it is not recorded again.
	 */
	async recall(lane: Lane): Promise<void> {
		const rows = await lane.transaction((transaction) =>
			transaction.rows(
				`SELECT experiment, unit, arg_max(arm, at_us) AS arm, max(at_us) AS since_us FROM (
					SELECT experiment, unit, assigned AS arm, start_us AS at_us FROM entries
					WHERE rowid >= (SELECT coalesce(max(rowid), 0) FROM entries) - $rows AND assigned IS NOT NULL AND unit IS NOT NULL
					UNION ALL SELECT experiment, unit, coalesce(arm, '${NO_ARM}'), at_ms * 1000 FROM decisions
					WHERE rowid >= (SELECT coalesce(max(rowid), 0) FROM decisions) - $rows AND kind = 'assignment-changed'
						AND unit IS NOT NULL
				) GROUP BY experiment, unit ORDER BY since_us DESC LIMIT ${ARMS_RECALLED_MAX}`,
				{ rows: BigInt(ARMS_RECALLED_ROWS) },
			),
		);
		// The newest last, for those are kept where not all can be.
		for (const { experiment, unit, arm, since_us } of rows.toReversed()) {
			const known = { plan: NO_PLAN, arm: arm === NO_ARM ? null : String(arm), sinceUs: Number(since_us) };
			this.#unitsOf(String(experiment)).set(BigInt(unit as bigint), known);
		}
	}

	#unitsOf(experiment: string): Generations<bigint, Known> {
		let units = this.#known.get(experiment);
		if (units === undefined) {
			units = new Generations(UNIT_CACHE_MAX);
			this.#known.set(experiment, units);
		}
		return units;
	}
}
