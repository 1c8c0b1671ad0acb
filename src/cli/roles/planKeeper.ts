/**
 * Has the table of each plan kept by the state's owner before the plan is published. Where it cannot be kept, as on a full
 * disk, the plan is published all the same, for what was acknowledged is in force, and it is tried again until it is: whatever
 * xds publishes it makes of the state, so that a restart serves no older rules for that. Until it is kept ingest cannot read
 * what came under that plan.
 */
import type { PlanTable } from "../../compiler/plan.js";
import { WeirError } from "../../error.js";
import { PLAN_KEPT_AGAIN_MS } from "../../limits.js";
import type { StateStore } from "../../rollout/ports.js";
import { type GatewayAlarm, PLAN_UNKEPT } from "../../state/api/wire.js";
import type { Log } from "../../telemetry/log.js";

export class PlanKeeper {
	#due: { readonly version: string; readonly table: PlanTable } | null = null;
	/** Of the last try; null = it succeeded. */
	#why: string | null = null;
	#timer: NodeJS.Timeout | null = null;
	/** One at a time: the one that is kept last counts as what Envoys have. */
	#trying: Promise<void> = Promise.resolve();

	constructor(
		private readonly state: Pick<StateStore, "keepPlan">,
		private readonly log: Pick<Log, "error" | "info">,
	) {}

	/** Resolves when it is kept, or could not be. Never rejects. */
	keep(version: string, table: PlanTable): Promise<void> {
		this.#due = { version, table };
		return this.#look();
	}

	/** Tries no more. */
	close(): void {
		this.#due = null;
		if (this.#timer !== null) clearTimeout(this.#timer);
	}

	troubles(): readonly GatewayAlarm[] {
		return this.#why === null ? [] : [{ gateway: "", alarm: PLAN_UNKEPT, why: this.#why }];
	}

	#look(): Promise<void> {
		this.#trying = this.#trying.then(() => this.#try());
		return this.#trying;
	}

	async #try(): Promise<void> {
		if (this.#timer !== null) clearTimeout(this.#timer);
		this.#timer = null;
		const due = this.#due;
		if (due === null) return;
		try {
			await this.state.keepPlan(due.version, due.table);
		} catch (error) {
			const why = WeirError.from(error).message;
			if (this.#why === null) {
				const { version: plan } = due;
				this.log.error("the table of a plan cannot be kept: it is published all the same", { plan, why });
			}
			this.#why = why;
			if (this.#due !== null) this.#timer = setTimeout(() => void this.#look(), PLAN_KEPT_AGAIN_MS);
			return;
		}
		if (this.#due === due) this.#due = null;
		if (this.#why !== null) this.log.info("the tables of plans are kept again");
		this.#why = null;
	}
}
