/**
 * Whether a process of the sidecar may answer by what it has in force: a worker, and who asks control itself (confirmation.ts). A table
 * is acknowledged without a worker that has not got it in WORKERS_IN_FORCE_MS_MAX, as one that hangs; when such a one goes on, calls and
 * older tables wait for it, and nothing in them says that they are. It can tell by itself: its loop stood still for so long, or it still
 * takes a table that was given so long ago. Then nobody knows how old its table is until the primary has said so again.
 */
import { WORKERS_IN_FORCE_MS_MAX } from "../../limits.js";
import type { Freshness } from "../../sidecar/tables.js";
import { machineMs } from "./message.js";

/** How often the loop is seen to turn. */
export const TURN_EVERY_MS = 250;

/** Less than the acknowledgement waits, by a turn in which it read no messages any more. */
export const STOOD_STILL_MS = WORKERS_IN_FORCE_MS_MAX - TURN_EVERY_MS;

export class Lateness implements Freshness {
	#turnedMs: number;
	/** When the table was given that it takes now; null = it takes none. The primary hands on one at a time. */
	#takesSinceMs: number | null = null;
	/** Since when nobody knows how old its table is; null = it is as old as was said. */
	#lateSinceMs: number | null = null;

	/**
	 * @param tables as old as the primary said
	 * @param onLate asks the primary; it is given since when the loop has certainly not turned, in milliseconds
	 * @param nowMs machineMs()
	 */
	constructor(
		private readonly tables: Freshness,
		private readonly onLate: (stoodMs: number) => void,
		private readonly nowMs: () => number = machineMs,
		private readonly stoodStillMs: number = STOOD_STILL_MS,
	) {
		this.#turnedMs = nowMs();
	}

	/** To be called every TURN_EVERY_MS. */
	turned(): void {
		this.#look();
		this.#turnedMs = this.nowMs();
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

	/** The primary has said the table's age. What it said before this one was late was of a table that has been replaced since, maybe. */
	told(saidAtMs: number): void {
		if (this.#lateSinceMs !== null && saidAtMs >= this.#lateSinceMs) this.#lateSinceMs = null;
	}

	ageMs(): number {
		return this.isLate ? Number.POSITIVE_INFINITY : this.tables.ageMs();
	}

	get isLate(): boolean {
		this.#look();
		return this.#lateSinceMs !== null;
	}

	/** In the path of each call too: after a standstill they may come before any timer. */
	#look(): void {
		const nowMs = this.nowMs();
		const stoodMs = nowMs - this.#turnedMs;
		const stoodStill = stoodMs > this.stoodStillMs;
		const takesLong = this.#takesSinceMs !== null && nowMs - this.#takesSinceMs > WORKERS_IN_FORCE_MS_MAX;
		if (!stoodStill && (!takesLong || this.#lateSinceMs !== null)) return;
		// Noticed once.
		if (stoodStill) this.#turnedMs = nowMs;
		this.#lateSinceMs = nowMs;
		this.onLate(stoodMs);
	}
}
