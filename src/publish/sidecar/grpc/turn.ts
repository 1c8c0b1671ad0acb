/**
 * Sheds calls when the event loop is late. Messages are answered in the turn of the event loop in which they are read, so
 * the queue is the rest of the turn. When a turn has worked for too long, its remaining calls are refused, and the next
 * turn starts from zero.
 *
 * A long gap between two messages (no CPU time, garbage collection) does not mean a long queue, so it counts only up to
 * `gapMs`.
 */
import { performance } from "node:perf_hooks";

export class Turn {
	readonly #longestMs: number;
	readonly #gapMs: number;
	readonly #nowMs: () => number;
	/** Time of the turn's last message; negative outside of a turn. */
	#lastMs = -1;
	#workedMs = 0;
	readonly #over = (): void => {
		this.#lastMs = -1;
		this.#workedMs = 0;
	};

	/** @param longestMs maximum work of one turn @param gapMs maximum that one gap between two messages counts */
	constructor(longestMs: number, gapMs: number, nowMs: () => number = () => performance.now()) {
		this.#longestMs = longestMs;
		this.#gapMs = gapMs;
		this.#nowMs = nowMs;
	}

	/** Call it once per message, before its work. */
	late(): boolean {
		const nowMs = this.#nowMs();
		if (this.#lastMs < 0) {
			// An immediate runs after the poll phase, which reads the sockets.
			setImmediate(this.#over);
		} else {
			this.#workedMs += Math.min(nowMs - this.#lastMs, this.#gapMs);
		}
		this.#lastMs = nowMs;
		return this.#workedMs > this.#longestMs;
	}
}
