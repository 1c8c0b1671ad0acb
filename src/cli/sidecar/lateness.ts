/**
 * Whether a process of the sidecar may answer by what it has in force: a worker, and who asks control itself (confirmation.ts). A table
 * is acknowledged without a worker that has not got it in WORKERS_IN_FORCE_MS_MAX, as one that hangs; when such a one goes on, calls and
 * older tables wait for it, and nothing in them says that they are. It can tell by itself: its loop stood still for so long, or it still
 * takes a table that was given so long ago. Then nobody knows how old its table is until the primary has said so again.
 */
import { WORKERS_IN_FORCE_MS_MAX } from "../../limits.js";
import { type Clock, type Moment, momentOf, passedMs } from "../../sidecar/clock.js";
import type { Freshness } from "../../sidecar/tables.js";
import { MACHINE_CLOCK } from "./message.js";

/** How often the loop is seen to turn. */
export const TURN_EVERY_MS = 250;

/** Less than the acknowledgement waits, by a turn in which it read no messages any more. */
export const STOOD_STILL_MS = WORKERS_IN_FORCE_MS_MAX - TURN_EVERY_MS;

export class Lateness implements Freshness {
	/** When its loop was last seen to turn. */
	#turned: Moment;
	/** When the table was given that it takes now; null = it takes none. The primary hands on one at a time. */
	#takesSinceMs: number | null = null;
	/** Since when nobody knows how old its table is; null = it is as old as was said. */
	#lateSinceMs: number | null = null;

	/**
	 * @param tables as old as the primary said
	 * @param onLate asks the primary; it is given since when the loop has certainly not turned, in milliseconds
	 * @param clock where several processes tell each other times: MACHINE_CLOCK
	 */
	constructor(
		private readonly tables: Freshness,
		private readonly onLate: (stoodMs: number) => void,
		private readonly clock: Clock = MACHINE_CLOCK,
		private readonly stoodStillMs: number = STOOD_STILL_MS,
	) {
		this.#turned = momentOf(clock);
	}

	/** To be called every TURN_EVERY_MS. @returns how long it has not turned before, in milliseconds */
	turned(): number {
		const stoodMs = this.#look();
		this.#turned = momentOf(this.clock);
		return stoodMs;
	}

	/** It begins to take a table; @param givenAtMs when the primary was given it, or the first of those that waited for this one */
	takes(givenAtMs: number): void {
		this.#takesSinceMs = givenAtMs;
	}

	/** It has it in force, or answers by the one before for good. */
	took(): void {
		this.#look();
		this.#takesSinceMs = null;
	}

	/**
	 * The table's age has been said.
	 * @returns whether it holds: what was said before this one was late was of a table that has been replaced since, maybe
	 */
	told(saidAtMs: number): boolean {
		const lateSinceMs = this.#lateSinceMs;
		this.#look();
		// Who notices only now that it stood still has read this after it.
		if (this.#lateSinceMs !== lateSinceMs || (lateSinceMs !== null && saidAtMs < lateSinceMs)) return false;
		this.#lateSinceMs = null;
		return true;
	}

	ageMs(): number {
		return this.isLate ? Number.POSITIVE_INFINITY : this.tables.ageMs();
	}

	get isLate(): boolean {
		this.#look();
		return this.#lateSinceMs !== null;
	}

	/** In the path of each call too: after a standstill they may come before any timer. @returns how long it has not turned */
	#look(): number {
		const now = momentOf(this.clock);
		const nowMs = now.monotonicMs;
		const stoodMs = passedMs(this.#turned, now);
		const stoodStill = stoodMs > this.stoodStillMs;
		const takesLong = this.#takesSinceMs !== null && nowMs - this.#takesSinceMs > WORKERS_IN_FORCE_MS_MAX;
		if (!stoodStill && (!takesLong || this.#lateSinceMs !== null)) return stoodMs;
		// Noticed once.
		if (stoodStill) this.#turned = now;
		this.#lateSinceMs = nowMs;
		this.onLate(stoodMs);
		return stoodMs;
	}
}
