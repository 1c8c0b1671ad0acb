/**
 * Evidence is gathered one look after the other. The rollout loop's questions go before those of readers, who only look: a
 * reader's waits until none of the loop's is there, and for the readers before it. So the loop waits for one at most.
 */
import type { ServerResponse } from "node:http";
import { WeirError } from "../../error.js";
import { READERS_EVIDENCE_WAITING_MAX } from "../../limits.js";
import { Turns, whileOpen } from "../../turns.js";

/** Control asks for all of them, and bounds each. */
const READERS = "readers";

export class LoopFirst {
	#loops = 0;
	readonly #idle = new Set<() => void>();
	readonly #readers = new Turns({
		perSubject: READERS_EVIDENCE_WAITING_MAX + 1,
		waiting: READERS_EVIDENCE_WAITING_MAX,
		refusal: () => new WeirError("unavailable", "too many questions for evidence are waiting", "try again"),
	});

	async loop(work: () => Promise<void>): Promise<void> {
		this.#loops++;
		try {
			await work();
		} finally {
			this.#loops--;
			if (this.#loops === 0) {
				for (const begin of this.#idle) begin();
				this.#idle.clear();
			}
		}
	}

	/** @throws WeirError `unavailable` where too many wait */
	async reader(response: ServerResponse, work: () => Promise<void>): Promise<void> {
		await this.#readers.take(READERS, whileOpen(response), async () => {
			while (this.#loops > 0) await new Promise<void>((resolve) => this.#idle.add(resolve));
			if (!response.destroyed) await work();
		});
	}
}
