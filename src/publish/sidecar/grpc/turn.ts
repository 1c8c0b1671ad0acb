/**
 * Sheds calls when the event loop is late. Messages are answered in the turn of the loop in which they are read, so
 * the only queue is the rest of the turn: what was read from the sockets but not yet answered. When a turn has worked
 * for too long, its remaining calls are refused without work (which is quick, so the turn ends soon), and the next
 * turn begins anew: overload lasts no longer than its cause.
 *
 * What counts is work, message after message. One long gap (the process was not scheduled, the garbage collector ran)
 * says nothing about the length of the queue: refusing the few calls behind it would cost them their answer and save
 * nothing, so a gap counts only up to a bound.
 */
import { performance } from "node:perf_hooks";

export class Turn {
	readonly #longestMs: number;
	readonly #gapMs: number;
	/** Time of the turn's last message; negative between turns. */
	#lastMs = -1;
	#workedMs = 0;
	readonly #over = (): void => {
		this.#lastMs = -1;
		this.#workedMs = 0;
	};

	/** @param longestMs how long the messages of one turn may wait @param gapMs the most that one gap between two counts */
	constructor(longestMs: number, gapMs: number) {
		this.#longestMs = longestMs;
		this.#gapMs = gapMs;
	}

	/** To be asked once for each message before its work. @param nowMs performance.now() */
	late(nowMs: number = performance.now()): boolean {
		if (this.#lastMs < 0) {
			// Immediates run after the poll phase, in which sockets are read.
			setImmediate(this.#over);
		} else {
			this.#workedMs += Math.min(nowMs - this.#lastMs, this.#gapMs);
		}
		this.#lastMs = nowMs;
		return this.#workedMs > this.#longestMs;
	}
}
