/**
 * Tables of published plans by version, so that the access log of a request that began under an old plan can be
 * read back. Kept are the latest PLANS_KEPT_MIN and all younger than PLAN_KEPT_MS; a plan that is published again
 * counts as young again.
 */
import { isDeepStrictEqual } from "node:util";
import type { PlanTable } from "../../../compile/plan/compiledPlan.js";
import { WeirError } from "../../../error.js";
import type { StateDatabase } from "./database.js";

/** Plans kept regardless of age: a request may stay open during many ramps. */
export const PLANS_KEPT_MIN = 200;

/** Plans younger than this are all kept: no request except a stream is that long. */
export const PLAN_KEPT_MS = 24 * 60 * 60 * 1000;

export class PlanStore {
	constructor(private readonly database: StateDatabase) {}

	/**
	 * Stores the table durably and drops what is too old.
	 * @throws WeirError `already-exists` if the version names another table (versions are made from the content),
	 *   `unavailable` if the disk refuses it
	 */
	keep(version: string, table: PlanTable, nowMs: number): void {
		if (!/^[A-Za-z0-9._-]{1,128}$/.test(version)) {
			throw new WeirError("invalid-argument", "a plan version is 1 to 128 of A-Z a-z 0-9 . _ -");
		}
		const { plans, planAges, transaction } = this.database;
		const known = plans.get(version);
		if (known !== undefined && !isDeepStrictEqual(known.table, table)) {
			throw new WeirError("already-exists", `plan ${version} is kept with another table`);
		}
		transaction(() => {
			if (known !== undefined) planAges.removeSync([known.keptAtMs, version]);
			plans.putSync(version, { keptAtMs: nowMs, table });
			planAges.putSync([nowMs, version], true);
			this.#prune(nowMs);
		});
	}

	get(version: string): PlanTable | null {
		return this.database.plans.get(version)?.table ?? null;
	}

	/** The one that was kept last. */
	newest(): PlanTable | null {
		for (const [, version] of this.database.planAges.getKeys({ reverse: true, limit: 1 })) return this.get(version);
		return null;
	}

	#prune(nowMs: number): void {
		const { plans, planAges } = this.database;
		let spare = planAges.getKeysCount() - PLANS_KEPT_MIN;
		if (spare <= 0) return;
		for (const key of [...planAges.getKeys({ limit: spare })]) {
			const [keptAtMs, version] = key;
			if (spare-- <= 0 || keptAtMs > nowMs - PLAN_KEPT_MS) return;
			planAges.removeSync(key);
			plans.removeSync(version);
		}
	}
}
