/**
 * After a standstill (a stopped process, a suspended machine, a blocked event loop) the table may be stale: a newer one that
 * denies may wait unread. So calls are not answered until a new stream to control has answered or failed.
 */
import { type Clock, type Moment, momentOf, passedMs, SYSTEM_CLOCK } from "./clock.js";
import type { Freshness } from "./tables.js";

/**
 * After a pause of its event loop of this length, a sidecar asks control again before it answers. Longer than pauses of
 * a busy machine (1 to 2 s), shorter than PUBLICATION_LAG_MS.
 */
export const SIDECAR_STALL_MS = 3_000;

const TURN_EVERY_MS = 250;

export class Standstill implements Freshness {
	/** Time of the last turn of the event loop. */
	#turned: Moment;
	#waits = false;
	readonly #timer: NodeJS.Timeout;

	/** @param ask opens a new stream to control; gets the duration of the standstill in milliseconds */
	constructor(
		private readonly tables: Freshness,
		private readonly ask: (stoodMs: number) => void,
		private readonly clock: Clock = SYSTEM_CLOCK,
	) {
		this.#turned = momentOf(clock);
		this.#timer = setInterval(() => this.turned(), TURN_EVERY_MS).unref();
	}

	turned(): void {
		this.#look();
		this.#turned = momentOf(this.clock);
	}

	/** Call it when the new stream has answered or failed. */
	over(): void {
		if (!this.#look()) this.#waits = false;
	}

	/** Infinite until control has answered, so that no verdict comes from a table of unknown age. */
	ageMs(): number {
		this.#look();
		return this.#waits ? Number.POSITIVE_INFINITY : this.tables.ageMs();
	}

	close(): void {
		clearInterval(this.#timer);
	}

	/** Also called for each call, which may run before a timer. @returns whether there was a standstill */
	#look(): boolean {
		const now = momentOf(this.clock);
		const stoodMs = passedMs(this.#turned, now);
		if (stoodMs <= SIDECAR_STALL_MS) return false;
		this.#turned = now;
		this.#waits = true;
		this.ask(stoodMs);
		return true;
	}
}
