/** A token bucket: so much at once, and then again by time. By a clock that never goes back. */
export class TokenBucket {
	#level: number;

	/**
	 * Full at first.
	 * @param tokens how many come back in `perMs`
	 */
	constructor(
		private readonly burst: number,
		private readonly tokens: number,
		private readonly perMs: number,
		private atMs: number,
	) {
		this.#level = burst;
	}

	/** What is left. */
	level(monotonicMs: number): number {
		this.#level = Math.min(this.burst, this.#level + ((monotonicMs - this.atMs) * this.tokens) / this.perMs);
		this.atMs = monotonicMs;
		return this.#level;
	}

	/** Of what is left; below 0 = given back. */
	take(tokens: number): void {
		this.#level -= tokens;
	}

	/** Milliseconds until there are as many; 0 = there are. */
	waitMs(tokens: number, monotonicMs: number): number {
		return Math.max(0, Math.ceil(((tokens - this.level(monotonicMs)) * this.perMs) / this.tokens));
	}
}
