/**
 * Which workers hang: each says something every second, so that silence tells. It is counted by looks that find nothing said,
 * not by a clock: where it is the primary, or the whole machine, that stood still, the words lie there unread.
 */

/** How often a worker says that it is alive, and how often that is looked at. */
export const ALIVE_EVERY_MS = 1_000;

/** After how much silence of a worker that is told, and it is killed. */
export interface SilenceMs {
	readonly told: number;
	readonly killed: number;
}

export interface PulseHandlers<Worker> {
	readonly onSilent: (worker: Worker) => void;
	readonly onHung: (worker: Worker) => void;
}

export class Pulse<Worker> {
	/** By worker, the looks since it last said anything, or began. */
	readonly #looks = new Map<Worker, number>();

	constructor(
		private readonly afterMs: SilenceMs,
		private readonly handlers: PulseHandlers<Worker>,
	) {}

	/** It begins: what hangs before its first word is silent, too. */
	began(worker: Worker): void {
		this.heard(worker);
	}

	heard(worker: Worker): void {
		this.#looks.set(worker, 0);
	}

	ended(worker: Worker): void {
		this.#looks.delete(worker);
	}

	/** To be called every ALIVE_EVERY_MS. */
	look(): void {
		const { told, killed } = this.afterMs;
		for (const [worker, before] of this.#looks) {
			this.#looks.set(worker, before + 1);
			const crosses = (ms: number): boolean => before * ALIVE_EVERY_MS < ms && (before + 1) * ALIVE_EVERY_MS >= ms;
			if (crosses(told)) this.handlers.onSilent(worker);
			if (crosses(killed)) this.handlers.onHung(worker);
		}
	}

	/** How many have been silent for so long that it was told. */
	get silent(): number {
		return [...this.#looks.values()].filter((looks) => looks * ALIVE_EVERY_MS >= this.afterMs.told).length;
	}
}
