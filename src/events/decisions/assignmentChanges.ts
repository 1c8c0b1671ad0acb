/**
 * Units whose arm is another than it last was: after a ramp, a takeover, the close of an arm. The end of an Experiment shows in
 * no request, and is told of for all its units at once (experimentEnds.ts). Known is what this process has
 * seen and, from the process before it, what the newest requests in the store tell: of ARMS_KNOWN_MAX units at most, of all
 * Experiments together. The first sight of a unit is no change; nor is that of one that was forgotten for room meanwhile, for
 * which the log lacks a record where its arm has changed. A look into the store would tell, by a scan of all requests.
 */
import { ARMS_KNOWN_MAX, ARMS_RECALLED_ROWS, PLAN_CACHE_MAX } from "../../limits.js";
import { Generations } from "../store/generations.js";
import { NO_ARM } from "../store/rowAppend.js";
import type { Lane } from "../store/store.js";
import { UnitArms } from "./unitArms.js";

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

/** What is kept of a unit besides its arm: the number of the plan, and when the first request seen under it began. */
const PLAN = 0;
const SINCE_HIGH = 1;
const SINCE_LOW = 2;
const OWN_WORDS = 3;
const LOW = 2 ** 32;

/** Which plan gave the arm is not stored: every one is another. */
const NO_PLAN = 0;

export class AssignmentChanges {
	readonly #known: UnitArms;
	/** Numbers of plans. One that was forgotten gets another, by which its units are compared once more. */
	readonly #plans = new Generations<string, number>(PLAN_CACHE_MAX);
	#lastPlan = NO_PLAN;

	/** @param forgot told the Experiment of each unit that was forgotten for room */
	constructor(forgot?: (experiment: string) => void, max: number = ARMS_KNOWN_MAX) {
		this.#known = new UnitArms(max, OWN_WORDS, forgot);
	}

	/** Units known, each in every Experiment that it is in. */
	get size(): number {
		return this.#known.size;
	}

	/** Those of which units are known. */
	get experiments(): readonly string[] {
		return this.#known.experiments;
	}

	/** These have ended, or are no more. */
	forget(experiments: readonly string[]): void {
		this.#known.forget(experiments);
	}

	/**
	 * @returns the arm before, where the request shows another one than the unit's last known; null = no change. A
	 * request that began before the last known plan was seen at work tells of the past, and changes nothing.
	 */
	see({ experiment, unit, arm, plan, startUs }: Assigned): { readonly formerArm: string | null } | null {
		const at = this.#known.find(experiment, unit);
		const number = this.#numberOf(plan);
		if (at === -1) {
			this.#keep(this.#known.add(experiment, unit, arm), number, startUs);
			return null;
		}
		// One plan gives a unit one arm: nearly every request ends here.
		if (this.#known.own(at, PLAN) === number || startUs < this.#sinceUs(at)) return null;
		const formerArm = this.#known.arm(at);
		this.#keep(at, number, startUs);
		if (formerArm === arm) return null;
		this.#known.setArm(at, arm);
		return { formerArm };
	}

	/**
	 * Takes what the store's newest rows tell, before the first `see`. A change that was recorded counts even where its request
	 * was lost with the process, so that it is not recorded again.
	 */
	async recall(lane: Lane): Promise<void> {
		await lane.transaction((transaction) =>
			transaction.each(
				`SELECT experiment, unit, arg_max(arm, at_us) AS arm, max(at_us) AS since_us FROM (
					SELECT experiment, unit, assigned AS arm, start_us AS at_us FROM entries
					WHERE rowid >= (SELECT coalesce(max(rowid), 0) FROM entries) - $rows AND assigned IS NOT NULL AND unit IS NOT NULL
					UNION ALL SELECT experiment, unit, coalesce(arm, '${NO_ARM}'), at_ms * 1000 FROM decisions
					WHERE rowid >= (SELECT coalesce(max(rowid), 0) FROM decisions) - $rows AND kind = 'assignment-changed'
						AND unit IS NOT NULL
				) GROUP BY experiment, unit`,
				{ rows: BigInt(ARMS_RECALLED_ROWS) },
				({ experiment, unit, arm, since_us }) => {
					const at = this.#known.add(String(experiment), unit as bigint, arm === NO_ARM ? null : String(arm));
					this.#keep(at, NO_PLAN, Number(since_us));
				},
			),
		);
	}

	#numberOf(plan: string): number {
		let number = this.#plans.get(plan);
		if (number === undefined) {
			number = ++this.#lastPlan;
			this.#plans.set(plan, number);
		}
		return number;
	}

	#keep(at: number, plan: number, sinceUs: number): void {
		this.#known.setOwn(at, PLAN, plan);
		this.#known.setOwn(at, SINCE_HIGH, Math.floor(sinceUs / LOW));
		this.#known.setOwn(at, SINCE_LOW, sinceUs % LOW);
	}

	#sinceUs(at: number): number {
		return this.#known.own(at, SINCE_HIGH) * LOW + this.#known.own(at, SINCE_LOW);
	}
}
