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
	/** How much later both are before its first word, which comes when it has loaded its code. */
	readonly starting: number;
}

interface Silence {
	/** Looks that found nothing said. */
	readonly looks: number;
	readonly starting: boolean;
}

export interface PulseHandlers<Worker> {
	readonly onSilent: (worker: Worker, silentMs: number) => void;
	readonly onHung: (worker: Worker, silentMs: number) => void;
}

export class Pulse<Worker> {
	/** By worker, since it last said anything, or began. */
	readonly #silences = new Map<Worker, Silence>();

	constructor(
		private readonly afterMs: SilenceMs,
		private readonly handlers: PulseHandlers<Worker>,
	) {}

	/** It begins: what hangs before its first word is silent, too. */
	began(worker: Worker): void {
		this.#silences.set(worker, { looks: 0, starting: true });
	}

	heard(worker: Worker): void {
		this.#silences.set(worker, { looks: 0, starting: false });
	}

	ended(worker: Worker): void {
		this.#silences.delete(worker);
	}

	/** To be called every ALIVE_EVERY_MS. */
	look(): void {
		for (const [worker, before] of this.#silences) {
			const now = { ...before, looks: before.looks + 1 };
			this.#silences.set(worker, now);
			const crosses = (afterMs: number): boolean => !this.#is(before, afterMs) && this.#is(now, afterMs);
			const silentMs = now.looks * ALIVE_EVERY_MS;
			if (crosses(this.afterMs.told)) this.handlers.onSilent(worker, silentMs);
			if (crosses(this.afterMs.killed)) this.handlers.onHung(worker, silentMs);
		}
	}

	/** How many have been silent for so long that it was told. */
	get silent(): number {
		return [...this.#silences.values()].filter((silence) => this.#is(silence, this.afterMs.told)).length;
	}

	#is({ looks, starting }: Silence, afterMs: number): boolean {
		return looks * ALIVE_EVERY_MS >= afterMs + (starting ? this.afterMs.starting : 0);
	}
}
