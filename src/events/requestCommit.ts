/** One batch of requests and exposures into the store: set operations that find first exposures and conflicts. */
import type { Exposure, RequestRow } from "./requestRow.js";
import { putExposure, putRow } from "./rowAppend.js";
import type { Row, Transaction } from "./store.js";

/** Why an entry could not be kept. */
export type Loss = "unreadable" | "dropped";

export interface Batch {
	readonly rows: readonly RequestRow[];
	readonly exposures: readonly Exposure[];
	/** Since the last commit. */
	readonly losses: Readonly<Record<Loss, number>>;
	readonly nowMs: number;
}

/** What a commit found out, to be reported once it is durable. */
export interface Learnt {
	/** experiment and arm of each unit exposed for the first time. */
	readonly added: readonly Row[];
	/** experiment of each unit newly seen in two arms. */
	readonly conflicts: readonly Row[];
}

export class RequestCommit {
	/** Plan and experiment whose live points are stored. */
	readonly #explained = new Set<string>();

	/** What was written may have been rolled back. */
	forget(): void {
		this.#explained.clear();
	}

	async write(transaction: Transaction, { rows, exposures, losses, nowMs }: Batch): Promise<Learnt> {
		const now = BigInt(nowMs);
		await transaction.append("entries", rows, putRow);
		for (const reason of ["dropped", "unreadable"] as const) {
			if (losses[reason] === 0) continue;
			const entries = BigInt(losses[reason]);
			await transaction.run("INSERT INTO losses VALUES ($now, $reason, $entries)", { now, reason, entries });
		}
		if (exposures.length === 0) return { added: [], conflicts: [] };
		await transaction.run("CREATE OR REPLACE TEMP TABLE candidates AS FROM units LIMIT 0");
		await transaction.appendFresh("candidates", exposures, putExposure);
		const added = await transaction.rows(
			`INSERT INTO units SELECT experiment, unit, arg_min(arm, first_ms), arg_min(plan, first_ms), min(first_ms),
				min(received_ms) FROM candidates ANTI JOIN units USING (experiment, unit) GROUP BY experiment, unit
			RETURNING experiment, arm`,
		);
		const conflicts = await transaction.rows(
			`INSERT INTO conflicts SELECT DISTINCT c.experiment, c.unit, $now
			FROM candidates c JOIN units u USING (experiment, unit) ANTI JOIN conflicts k USING (experiment, unit)
			WHERE c.arm <> u.arm RETURNING experiment`,
			{ now },
		);
		await this.#explain(transaction, exposures);
		return { added, conflicts };
	}

	/** Keeps the live points of every plan under which units were exposed. */
	async #explain(transaction: Transaction, exposures: readonly Exposure[]): Promise<void> {
		for (const { plan, experiment, livePoints } of exposures) {
			const key = `${plan}|${experiment}`;
			if (this.#explained.has(key)) continue;
			for (const [arm, points] of Object.entries(livePoints)) {
				await transaction.run(
					`INSERT INTO live_points SELECT $plan, $experiment, $arm, $points::INTEGER WHERE NOT EXISTS (
						FROM live_points WHERE plan = $plan AND experiment = $experiment AND arm = $arm)`,
					{ plan, experiment, arm, points },
				);
			}
			this.#explained.add(key);
		}
	}
}
