/** Rollbacks that gates are still to be told of: written with the decision, taken away when told. */
import { GATE_OUTBOX_MAX } from "../limits.js";
import type { Gate } from "../resources/resource.js";
import type { GateQuestion } from "../rollout/gate.js";
import type { Untold } from "../rollout/ports.js";
import type { StateDatabase } from "./database.js";

export class OutboxShelf {
	readonly #database: StateDatabase;

	constructor(database: StateDatabase) {
		this.#database = database;
	}

	/** Runs inside the transaction of the decision. Beyond GATE_OUTBOX_MAX the first are given up, and counted. */
	put(experiment: string, sequence: number, told: readonly { gate: Gate; question: GateQuestion }[]): void {
		const { outbox, counters } = this.#database;
		for (const [index, { gate, question }] of told.entries()) {
			outbox.putSync([experiment, sequence, index], {
				key: JSON.stringify([experiment, sequence, index]),
				gate,
				question,
			});
		}
		if (told.length === 0) return;
		const surplus = outbox.getKeysCount() - GATE_OUTBOX_MAX;
		if (surplus <= 0) return;
		for (const key of [...outbox.getKeys({ limit: surplus })]) outbox.removeSync(key);
		counters.putSync("untoldDropped", (counters.get("untoldDropped") ?? 0) + surplus);
	}

	untold(): readonly Untold[] {
		return [...this.#database.outbox.getRange()].map(({ value }) => value);
	}

	/** What is not there was told before. */
	told(key: string): void {
		let parsed: unknown;
		try {
			parsed = JSON.parse(key);
		} catch {
			return;
		}
		if (!Array.isArray(parsed) || parsed.length !== 3) return;
		const [experiment, sequence, index] = parsed as [string, number, number];
		this.#database.transaction(() => this.#database.outbox.removeSync([experiment, sequence, index]));
	}
}
