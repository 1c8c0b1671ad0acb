/**
 * Stores the table of each plan before the plan is published, so that its access log can be read. Where it cannot be stored, as on a
 * full disk, the plan is published all the same, for a denial in it must hold. The alarm stands until the next publication.
 */
import type { PlanTable } from "../../compile/table/plan.js";
import type { StateStore } from "../../decide/rollout/ports.js";
import { WeirError } from "../../error.js";
import type { Log } from "../../observe/telemetry/log.js";
import { type GatewayAlarm, PLAN_UNKEPT } from "../../operate/api/wire.js";

export class PlanKeeper {
	/** Of the last plan; null = it is stored. */
	#why: string | null = null;

	constructor(
		private readonly state: Pick<StateStore, "keepPlan">,
		private readonly log: Pick<Log, "error">,
	) {}

	/** Resolves when it is stored, or could not be. Never rejects. */
	async keep(version: string, table: PlanTable): Promise<void> {
		try {
			await this.state.keepPlan(version, table);
			this.#why = null;
		} catch (error) {
			this.#why = WeirError.from(error).message;
			this.log.error("the table of a plan cannot be stored: it is published all the same", {
				plan: version,
				why: this.#why,
			});
		}
	}

	troubles(): readonly GatewayAlarm[] {
		return this.#why === null ? [] : [{ gateway: "", alarm: PLAN_UNKEPT, why: this.#why }];
	}
}
