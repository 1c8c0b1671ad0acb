/** Rollback notifications to gates: written with the decision, removed when delivered. */

import type { Decision } from "../../../decide/rollout/decision.js";
import type { NotificationMessage, PendingNotification } from "../../../decide/rollout/ports.js";
import type { OutboxKey, StateDatabase } from "./database.js";

/** Pending rollback notifications of all Experiments; beyond it the oldest is dropped and counted. */
export const GATE_OUTBOX_MAX = 10_000;

/** More than the gates of one decision: the index of a notification is revision * PLACES + gate. */
const PLACES = 2 ** 16;

export class OutboxStore {
	readonly #database: StateDatabase;

	constructor(database: StateDatabase) {
		this.#database = database;
	}

	/**
	 * Runs inside the transaction of the decision. Beyond GATE_OUTBOX_MAX the oldest is given up, and counted.
	 * @param revision that the decision led to
	 */
	put(
		{ experiment, sequence }: Pick<Decision, "experiment" | "sequence">,
		revision: number,
		messages: readonly NotificationMessage[],
	): void {
		for (const [index, { gate, question }] of messages.entries()) {
			const key: OutboxKey = [experiment, sequence, revision * PLACES + index];
			this.#database.outbox.putSync(key, { gate, question });
		}
		if (messages.length > 0) this.#prune();
	}

	pending(): readonly PendingNotification[] {
		return [...this.#database.outbox.getKeys()].map((key) => ({ key: JSON.stringify(key), experiment: key[0] }));
	}

	/** null = it was delivered or dropped. */
	message(key: string): NotificationMessage | null {
		const parsed = keyIn(key);
		return (parsed === null ? undefined : this.#database.outbox.get(parsed)) ?? null;
	}

	/** Does nothing for an unknown key. */
	delivered(key: string): void {
		const parsed = keyIn(key);
		if (parsed !== null) this.#database.transaction(() => this.#database.outbox.removeSync(parsed));
	}

	#prune(): void {
		const { outbox, counters } = this.#database;
		const surplus = outbox.getKeysCount() - GATE_OUTBOX_MAX;
		if (surplus <= 0) return;
		for (const key of [...outbox.getKeys()].sort(byAge).slice(0, surplus)) outbox.removeSync(key);
		counters.putSync("droppedNotices", (counters.get("droppedNotices") ?? 0) + surplus);
	}
}

/** null = not a key. */
function keyIn(text: string): OutboxKey | null {
	let parsed: unknown;
	try {
		parsed = JSON.parse(text);
	} catch {
		return null;
	}
	return Array.isArray(parsed) && parsed.length === 3 ? (parsed as OutboxKey) : null;
}

/** The oldest revision first. */
const byAge = ([, , one]: OutboxKey, [, , other]: OutboxKey): number => one - other;
